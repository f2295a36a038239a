"""A queue that holds so much and no more."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """Whoever puts waits while ``limit`` or more is held; whoever takes, while nothing is."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[tuple[T, int]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self.held = 0
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def exhausted(self) -> bool:
        """Tell whether nothing is here and nothing will come."""
        return self.closed and not self._items

    async def put(self, item: T, size: int) -> None:
        """Add an item once there is room; what comes after the end is thrown away."""
        while self.held >= self._limit and not self.closed:
            self._room.clear()
            await self._room.wait()
        self.put_now(item, size)

    def put_now(self, item: T, size: int = 0) -> None:
        """Add an item whether there is room or not, for what is small and seldom."""
        if not self.closed:
            self._items.append((item, size))
            self.held += size
            self._news.set()

    async def wait(self) -> None:
        """Return when something can be taken, or nothing ever will."""
        while not self._items and not self.closed:
            self._news.clear()
            await self._news.wait()

    def take(self) -> T:
        """Remove the oldest item; raise IndexError when there is none."""
        item, size = self._items.popleft()
        self.held -= size
        self._room.set()
        return item

    def take_all(self) -> list[T]:
        """Remove everything."""
        return [self.take() for _ in range(len(self._items))]

    def close(self) -> None:
        """Let nothing more in; what is here can still be taken."""
        self.closed = True
        self._news.set()
        self._room.set()
