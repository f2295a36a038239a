"""What the scheduler adds to a start: the fake backend takes no time, so all of it is ours."""

import threading
import time
from collections.abc import Sequence
from uuid import UUID

from tests.load.bench.figures import median, percentile
from tests.load.bench.learners import Learner, watching
from tests.load.bench.parts import Bench
from tests.load.bench.results import Result
from tests.stack import FAKE, ROOT, Stack

LESSON = "shell-first-steps"
BURST_SECONDS = 3
_WARM_UP = 10


def measure(bench: Bench) -> Sequence[Result]:
    """Return the figures of single starts and of a burst."""
    with Stack(backend=FAKE, web_workers=2, env={"SYRINGE_SESSIONS_PER_ADDRESS": "0"}) as stack:
        stack.manage("import_curriculum", str(ROOT / "curriculum" / "sample"))
        bench.say(f"{bench.scale.single_starts} starts, one after the other")
        singles = _single_starts(stack, _WARM_UP + bench.scale.single_starts)[_WARM_UP:]
        bursts = []
        for _ in range(3):
            bench.say(f"{bench.scale.burst} starts at once")
            bursts.append(_burst(stack, bench.scale.burst))
    return [
        Result("single start, POST to READY, p50", percentile(singles, 50) * 1000, "ms", 150),
        Result("single start, POST to READY, p99", percentile(singles, 99) * 1000, "ms", 400),
        Result(
            f"{bench.scale.burst} starts at once, all READY", median(bursts), "s", BURST_SECONDS
        ),
    ]


def _single_starts(stack: Stack, number: int) -> list[float]:
    seconds = []
    with Learner(stack) as learner, watching(stack) as watch:
        for _ in range(number):
            learner.open_session()
            began = time.perf_counter()
            live_lesson_id = learner.start(LESSON)
            seconds.append(watch.wait_for(live_lesson_id, "READY") - began)
    return seconds


def _burst(stack: Stack, number: int) -> float:
    """Return the seconds from the first POST to the last READY; each POST has its own thread."""
    barrier = threading.Barrier(number + 1)
    started: list[UUID] = []

    def start(learner: Learner) -> None:
        barrier.wait(20)
        started.append(learner.start(LESSON))

    learners = [Learner(stack) for _ in range(number)]
    for learner in learners:
        learner.open_session()
    threads = [threading.Thread(target=start, args=(learner,)) for learner in learners]
    for thread in threads:
        thread.start()
    barrier.wait(20)
    began = time.perf_counter()
    for thread in threads:
        thread.join(30)
    if len(started) != number:
        raise AssertionError(f"only {len(started)} of {number} starts were accepted")
    with watching(stack) as watch:
        ready = max(watch.wait_for(live_lesson_id, "READY") for live_lesson_id in started)
    for learner in learners:
        learner.close()
    return ready - began
