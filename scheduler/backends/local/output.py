"""Keep the end of what a sandbox prints."""

import os
import selectors
from collections.abc import Callable

from scheduler.backends.local.loop import Loop


class Tail:
    """Read a pipe to its end and keep the last bytes, so that a chatty program costs nothing."""

    def __init__(
        self,
        loop: Loop,
        fd: int,
        *,
        size: int,
        on_data: Callable[[bytes], None] | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._size = size
        self._on_data = on_data
        self._on_end = on_end
        self._kept = b""
        os.set_blocking(fd, False)
        loop.watch(fd, selectors.EVENT_READ, self._read)

    @property
    def text(self) -> str:
        """What is kept, as text that can be shown; a zero byte cannot be stored in a row."""
        return self._kept.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")

    def close(self) -> None:
        """Take what is there now and stop reading."""
        while self._fd >= 0 and self._take():
            continue
        self._end()

    def _read(self, _events: int) -> None:
        self._take()

    def _take(self) -> bool:
        try:
            data = os.read(self._fd, 65_536)
        except BlockingIOError:
            return False
        if not data:
            self._end()
            return False
        self._kept = (self._kept + data)[-self._size :]
        if self._on_data is not None:
            self._on_data(data)
        return True

    def _end(self) -> None:
        if self._fd < 0:
            return
        self._loop.watch(self._fd, 0, self._read)
        os.close(self._fd)
        self._fd = -1
        if self._on_end is not None:
            self._on_end()
