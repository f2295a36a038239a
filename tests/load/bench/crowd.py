"""Thousands of livelessons booting at once: all of them arrive, and nothing piles up."""

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.load.bench.figures import median
from tests.load.bench.learners import Learner
from tests.load.bench.parts import Bench
from tests.load.bench.results import Result
from tests.load.bench.sampling import Sample, Sampler
from tests.load.generate_curriculum import generate_curriculum
from tests.stack import FAKE, Stack

_CLIENTS = 4
_LESSONS = 25
READY_SECONDS = 120
GROWTH_PER_CENT = 5
_PATIENCE_SECONDS = READY_SECONDS + 20
_WORKERS = ("worker-1", "worker-2")
_SCHEDULER = (*_WORKERS, "beat")


@dataclass(frozen=True, slots=True)
class Crowd:
    """What happened; times are ``time.monotonic``, ``ended`` is None where not all got READY.

    ``later`` are the samples of a second crowd of the same number before the same workers.
    """

    number: int
    began: float
    posted: float
    ended: float | None
    samples: Sequence[Sample]
    later: Sequence[Sample] = ()


def measure(bench: Bench) -> Sequence[Result]:
    """Return how long the last one took after the last POST, and what workers and queue did."""
    scale = bench.scale
    crowd = boot_crowd(
        number=scale.crowd, boot_seconds=scale.crowd_boot_seconds, say=bench.say, twice=True
    )
    samples = crowd.samples
    booting = max(s.states.get("BOOTING", 0) for s in samples)
    seconds = (crowd.ended or time.monotonic()) - crowd.posted
    return [
        Result(f"{crowd.number} starts, POSTs a second", _rate(crowd), "1/s"),
        Result("booting at one time", booting, "", 0.95 * crowd.number, at_least=True),
        Result("of them READY", _ready(samples), "", crowd.number, at_least=True),
        Result("all READY after the last POST", seconds, "s", READY_SECONDS),
        Result("of as many again READY", _ready(crowd.later), "", 2 * crowd.number, at_least=True),
        *_growth(crowd),
        Result("memory of the larger worker", _most_memory(crowd) / 1e6, "MB"),
        Result("longest queue", max(s.queue for s in samples), "messages", 1.1 * crowd.number),
        Result("queue while they become READY, median", _usual_queue(crowd), "messages", 100),
        Result("queue at the end", samples[-1].queue, "messages", 100),
    ]


def boot_crowd(
    *, number: int, boot_seconds: float, say: Callable[[str], None], twice: bool = False
) -> Crowd:
    """Start as many livelessons as the API takes, then let the workers at them all at once.

    So all of them boot at the same time, however long the POSTs take on a slow machine. Then,
    if ``twice``, as many again before workers that have seen it all: those must not grow.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(
            backend=FAKE,
            workers=len(_WORKERS),
            web_workers=2,
            without=("gateway", "gc", *_SCHEDULER),
            env={
                "SYRINGE_SESSIONS_PER_ADDRESS": "0",
                "SYRINGE_LIVELESSONS_PER_SESSION": "0",
                "SYRINGE_FAKE_SCRIPT": f'{{"boot_seconds": {boot_seconds}}}',
            },
        ) as stack,
    ):
        stack.manage("import_curriculum", str(generate_curriculum(Path(folder), lessons=_LESSONS)))
        say(f"{number} starts by {_CLIENTS} clients")
        began = time.monotonic()
        _post_all(stack, number)
        posted = time.monotonic()
        say(f"all posted after {posted - began:.0f} s, each boots for {boot_seconds:g} s")
        for name in _SCHEDULER:
            stack.start(name)
        with Sampler(stack, _WORKERS) as sampler:
            ended = _wait_for_all(sampler, number, posted + _PATIENCE_SECONDS, say)
        later: Sequence[Sample] = ()
        if twice and ended is not None:
            say("as many again")
            with Sampler(stack, _WORKERS) as again:
                _post_all(stack, number)
                _wait_for_all(again, 2 * number, time.monotonic() + _PATIENCE_SECONDS, say)
            later = again.samples
        return Crowd(number, began, posted, ended, sampler.samples, later)


def _post_all(stack: Stack, number: int) -> None:
    """Let each session start every lesson once, by several clients at the same time."""
    visits = iter(range(0, number, _LESSONS))
    lock = threading.Lock()

    def client() -> None:
        with Learner(stack) as learner:
            while True:
                with lock:
                    first = next(visits, None)
                if first is None:
                    return
                learner.open_session()
                for lesson in range(min(_LESSONS, number - first)):
                    learner.start(f"lesson-{lesson}")

    with ThreadPoolExecutor(_CLIENTS) as clients:
        for done in [clients.submit(client) for _ in range(_CLIENTS)]:
            done.result()


def _wait_for_all(
    sampler: Sampler, number: int, deadline: float, say: Callable[[str], None]
) -> float | None:
    told = time.monotonic()
    while True:
        if sampler.error is not None:
            raise sampler.error
        if sampler.samples:
            last = sampler.samples[-1]
            if last.states.get("READY", 0) >= number and last.queue == 0:
                return _first_ready(sampler.samples, number)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"{last.states}, {last.queue} messages wait")
            if last.at > deadline or last.states.get("FAILED"):
                return None
        time.sleep(0.1)


def _first_ready(samples: Sequence[Sample], number: int) -> float:
    return next(s.at for s in samples if s.states.get("READY", 0) >= number)


def _rate(crowd: Crowd) -> float:
    return crowd.number / (crowd.posted - crowd.began)


def _usual_queue(crowd: Crowd) -> float:
    """Return the median length of the queue from when the first was READY: it may not pile up."""
    return median([s.queue for s in crowd.samples if s.states.get("READY")] or [0])


def _ready(samples: Sequence[Sample]) -> int:
    return samples[-1].states.get("READY", 0) if samples else 0


def _growth(crowd: Crowd) -> Sequence[Result]:
    """Return by how many per cent the worse worker grew from the first crowd to the second.

    Nothing of the first crowd is taken away, so what a worker kept of livelessons would show.
    """
    if not crowd.later:
        return []
    pairs = zip(crowd.samples[-1].memory, crowd.later[-1].memory, strict=True)
    growth = max(100 * (after - before) / before for before, after in pairs)
    return [Result("growth of a worker's memory by them", growth, "%", GROWTH_PER_CENT)]


def _most_memory(crowd: Crowd) -> int:
    return max(max(sample.memory) for sample in (*crowd.samples, *crowd.later))
