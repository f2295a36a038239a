"""One thread in which controllers and the kubelet act, at once or later."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Loop:
    """Runs actions in the order of their time; what was due when it stops is dropped."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fake-controllers", daemon=True)
        self.failures: list[BaseException] = []

    def start(self) -> None:
        """Begin to act."""
        self._thread.start()

    def stop(self) -> None:
        """End after the action that runs."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join()

    def soon(self, action: Callable[[], None]) -> None:
        """Act at once, after what is already due."""
        self.later(0, action)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Act after some seconds."""
        with self._condition:
            entry = (time.monotonic() + seconds, next(self._numbers), action)
            heapq.heappush(self._due, entry)
            if self._due[0] is entry:
                self._condition.notify()

    def _next(self) -> Callable[[], None] | None:
        with self._condition:
            while not self._stopping:
                if not self._due:
                    self._condition.wait()
                    continue
                wait = self._due[0][0] - time.monotonic()
                if wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._condition.wait(wait)
        return None

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except Exception as problem:
                logger.exception("a controller of the fake failed")
                self.failures.append(problem)
