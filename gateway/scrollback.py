"""The end of a terminal's output, addressed by its place in the whole."""


class Scrollback:
    """Keeps the last ``capacity`` bytes; ``start`` and ``end`` count from the first byte ever."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept = bytearray()
        self.start = 0

    @property
    def end(self) -> int:
        """The place after the last byte."""
        return self.start + len(self._kept)

    def append(self, data: bytes) -> None:
        """Add output, forgetting the oldest beyond the capacity."""
        self._kept += data
        excess = len(self._kept) - self._capacity
        if excess > 0:
            del self._kept[:excess]
            self.start += excess

    def read(self, place: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``place`` on, which must not be forgotten yet."""
        if place < self.start:
            raise ValueError(f"{place} is forgotten; the oldest byte is {self.start}")
        begin = place - self.start
        return bytes(self._kept[begin : begin + limit])

    def replay_start(self) -> int:
        """Return where a new reader should begin: not amid a line whose head is forgotten."""
        if self.start == 0:
            return 0
        newline = self._kept.find(b"\n")
        return self.start if newline < 0 else self.start + newline + 1
