"""Looking at workers, queue and rows again and again while something runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil
import redis

from tests.load.bench.learners import Watch
from tests.stack import Stack

_INTERVAL_SECONDS = 0.5
QUEUE = "lifecycle"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. ``at`` is ``time.monotonic``; ``memory`` holds the resident bytes of each worker,
    ``queue`` the messages that wait, ``states`` the number of livelessons in each state.
    """

    at: float
    memory: tuple[int, ...]
    queue: int
    states: dict[str, int]


class Sampler:
    """Takes samples on a thread of its own from entering to leaving."""

    def __init__(self, stack: Stack, workers: Sequence[str]) -> None:
        self.samples: list[Sample] = []
        self._key = f"{stack.instance}:{QUEUE}"
        self._workers = [psutil.Process(stack.pid(name)) for name in workers]
        self._redis = redis.Redis.from_url(stack.env["SYRINGE_REDIS_URL"], socket_timeout=5)
        self._watch = Watch(stack)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self._watch.close()
        self._redis.close()

    def _run(self) -> None:
        try:
            while not self._stop.wait(_INTERVAL_SECONDS):
                self.samples.append(self._sample())
        except Exception as exc:  # noqa: BLE001 (raised again where it is waited)
            self.error = exc

    def _sample(self) -> Sample:
        return Sample(
            at=time.monotonic(),
            memory=tuple(worker.memory_info().rss for worker in self._workers),
            queue=int(self._redis.llen(self._key)),
            states=self._watch.states(),
        )
