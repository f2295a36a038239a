"""Running one kind of measurement after the other, each within its own time."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from tests.load.bench.results import Result
from tests.load.bench.scale import Scale


class PartTooLong(Exception):
    """A part did not end within its time."""


@dataclass(frozen=True, slots=True)
class RealCluster:
    """A cluster to measure on, and the address at which its pods reach this machine's bundles."""

    kubeconfig: Path
    bundle_url: str


@dataclass(frozen=True, slots=True)
class Bench:
    """What every part is given; without a ``cluster`` it is a fake one."""

    scale: Scale
    console: Console
    name: str
    began: float
    cluster: RealCluster | None = None

    def say(self, text: str) -> None:
        """Tell whoever waits what happens now."""
        seconds = time.monotonic() - self.began
        self.console.print(f"[dim]{seconds:4.0f} s[/] {self.name}: {text}", highlight=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of measurement. Nothing that it starts outlives ``run``."""

    name: str
    about: str
    limit_seconds: int
    run: Callable[[Bench], Sequence[Result]]


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def too_long(number: int, frame: FrameType | None) -> None:
        raise PartTooLong(f"not done within {seconds} s")

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, too_long)
    remaining, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if remaining:
            # Somebody else's alarm, such as that of a test, rings when it would have.
            spent = time.monotonic() - began
            signal.setitimer(signal.ITIMER_REAL, max(0.001, remaining - spent))


def run_parts(
    parts: Sequence[Part], scale: Scale, console: Console, cluster: RealCluster | None = None
) -> list[Result]:
    """Run the parts; one that breaks is a missed result and does not stop the others."""
    results: list[Result] = []
    began = time.monotonic()
    for part in parts:
        bench = Bench(scale, console, part.name, began, cluster)
        bench.say(part.about)
        try:
            with _at_most(part.limit_seconds):
                results += part.run(bench)
        except (Exception, PartTooLong) as exc:  # noqa: BLE001 (the other parts go on)
            console.print(f"{part.name} broke: {type(exc).__name__}: {exc}", style="red")
            for note in getattr(exc, "__notes__", ()):
                console.print(note, markup=False, highlight=False)
            results.append(Result(f"{part.name}: ran to its end", 0, "", limit=1, at_least=True))
    return results
