"""How much of everything: as promised, or just enough to see that the measuring works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers of what is started, asked or imported; times in seconds.

    A cluster's pods take ``cluster_seconds`` and up to ``cluster_spread`` times as much more.
    """

    single_starts: int = 120
    burst: int = 50
    crowd: int = 5000
    crowd_boot_seconds: float = 60
    few: int = 10
    many: int = 10_000
    requests: int = 400
    wrk_rounds: int = 5
    wrk_seconds: int = 2
    few_lessons: int = 25
    many_lessons: int = 1000
    sandboxes: int = 10
    keystrokes: int = 300
    cluster_starts: int = 40
    cluster_seconds: float = 2
    cluster_spread: float = 5
    checked: int = 200
    checked_active: int = 20
    checked_rounds: int = 2
    checked_idle_seconds: float = 60
    checked_crowd: int = 2000
    checked_crowd_seconds: float = 150


FULL = Scale()
QUICK = Scale(
    single_starts=8,
    burst=5,
    crowd=200,
    crowd_boot_seconds=2,
    many=200,
    requests=20,
    wrk_rounds=1,
    wrk_seconds=1,
    many_lessons=40,
    sandboxes=2,
    keystrokes=20,
    cluster_starts=2,
    cluster_seconds=0.2,
    cluster_spread=1,
    checked=6,
    checked_active=2,
    checked_rounds=1,
    checked_idle_seconds=1,
    checked_crowd=12,
    checked_crowd_seconds=8,
)
