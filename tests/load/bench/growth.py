"""Whether requests get slower or need more queries as the number of livelessons grows."""

import contextlib
import time
from collections.abc import Sequence

from tests.load.bench.figures import median
from tests.load.bench.inside import inside
from tests.load.bench.learners import Learner
from tests.load.bench.parts import Bench
from tests.load.bench.requests import EXISTING, ONE, Ask, Kind, asks
from tests.load.bench.results import Result
from tests.load.bench.webs import filled_web

KINDS = (*ONE, *EXISTING)
_RATIO = 1.25
_WARM_UP = 20
_KNOWN = 8


def measure(bench: Bench) -> Sequence[Result]:
    """Compare two webs that differ in nothing but the number of livelessons, turn by turn."""
    scale = bench.scale
    results: list[Result] = []
    with contextlib.ExitStack() as exits:
        bench.say(f"webs with {scale.few} and {scale.many} livelessons")
        few, few_known = exits.enter_context(filled_web(scale.few, known=_KNOWN))
        many, many_known = exits.enter_context(filled_web(scale.many, known=_KNOWN))
        learners = [exits.enter_context(Learner(stack)) for stack in (few, many)]
        both = {kind: [asks(kind, known) for known in (few_known, many_known)] for kind in KINDS}
        bench.say("counting queries")
        few_counts, many_counts = (
            inside(
                stack,
                "queries",
                "count_queries",
                requests=[wanted[place][0].as_json() for wanted in both.values()],
            )
            for place, stack in enumerate((few, many))
        )
        for (kind, wanted), counts in zip(
            both.items(), zip(few_counts, many_counts, strict=True), strict=True
        ):
            bench.say(kind.name)
            times = _by_turns(learners, wanted, scale.requests)
            results += _compare(kind, counts, times, scale.few, scale.many)
    return results


def _compare(
    kind: Kind, counts: Sequence[int], times: Sequence[float], few: int, many: int
) -> list[Result]:
    return [
        Result(
            f"{kind.name}: more queries with {many} than with {few}", counts[1] - counts[0], "", 0
        ),
        Result(f"{kind.name}: p50 with {many}", times[1] * 1000, "ms"),
        Result(f"{kind.name}: p50 with {many} to p50 with {few}", times[1] / times[0], "", _RATIO),
    ]


def _by_turns(
    learners: Sequence[Learner], both: Sequence[Sequence[Ask]], number: int
) -> list[float]:
    """Return the median of each learner's requests, sent in turns: A B A B."""
    times: list[list[float]] = [[] for _ in learners]
    for turn in range(_WARM_UP + number):
        for learner, wanted, spent in zip(learners, both, times, strict=True):
            ask = wanted[turn % len(wanted)]
            learner.secret = ask.secret
            began = time.perf_counter()
            learner.request(ask.method, ask.path, ask.body)
            spent.append(time.perf_counter() - began)
    return [median(spent[_WARM_UP:]) for spent in times]
