"""A small event loop: the supervisor relays, reaps and keeps time without asyncio's memory."""

import heapq
import itertools
import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Loop:
    """Call back when files are ready, times have come or children have ended."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._children: dict[int, Callable[[int], None]] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.watch(self._wake_read, selectors.EVENT_READ, self._woken)

    def watch(self, file: Any, events: int, callback: Callable[[int], None]) -> None:
        """Call ``callback`` with the events that are there; no events: stop watching."""
        known = file in self._selector.get_map()
        if events == 0:
            if known:
                self._selector.unregister(file)
        elif known:
            self._selector.modify(file, events, callback)
        else:
            self._selector.register(file, events, callback)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, later."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), callback))

    def on_exit(self, pid: int, callback: Callable[[int], None]) -> None:
        """Call ``callback`` with the exit code of a child, negative for a signal."""
        self._children[pid] = callback

    def run(self) -> None:
        """Run for ever."""
        self._reap()
        while True:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, events in self._selector.select(timeout):
                # A callback before this one may have closed or rewatched the file.
                if self._selector.get_map().get(key.fd) is key:
                    key.data(events)
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    def _woken(self, _events: int) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            # Others than our own are orphans that the first process of a namespace inherits.
            callback = self._children.pop(pid, None)
            if callback is not None:
                callback(os.waitstatus_to_exitcode(status))
