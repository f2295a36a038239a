"""From the learner's deed to the page knowing, what idle livelessons cost, and who goes short."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg2

from tests.load.bench.figures import percentile
from tests.load.bench.inside import inside
from tests.load.bench.pages import deeds_done
from tests.load.bench.parts import Bench
from tests.load.bench.results import Result
from tests.stack import FAKE, ROOT, Stack
from tests.waiting import wait_until

_DEEDS = 3
_DEED = "test -e made-{0} || {{ echo There is no made-{0} yet.; exit 1; }}"
_WINDOW_SECONDS = 10.0
"""Long enough to count checks that come seconds apart."""


def measure(bench: Bench) -> Sequence[Result]:
    """Return how long deeds take to be known, checks of idle livelessons, and their fairness."""
    return [*_deeds(bench), *_fairness(bench)]


class _Look:
    """A look into the stack's database."""

    def __init__(self, stack: Stack) -> None:
        self._connection = psycopg2.connect(stack.env["SYRINGE_DATABASE_URL"], connect_timeout=5)
        self._connection.autocommit = True

    def close(self) -> None:
        self._connection.close()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def attempts(self) -> dict[str, int]:
        """Return by livelesson how often its objectives were checked."""
        return dict(
            self.rows(
                "SELECT live_lesson_id::text, sum(attempts) "
                "FROM livelessons_liveobjective GROUP BY 1"
            )
        )


@contextlib.contextmanager
def _installation() -> Iterator[tuple[Stack, _Look, int, Path]]:
    """Yield a stack without checkers, a look into it, and an SSH server: its port and homes."""
    with contextlib.ExitStack() as exits:
        homes = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="syringe-")))
        server = exits.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tests.ssh_endpoint", str(homes), "--home-of-each"],
                cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        exits.callback(server.terminate)
        without = {"web", "gc", "worker-1", "objectives-1"}
        stack = exits.enter_context(Stack(backend=FAKE, objectives=1, without=without))
        look = exits.enter_context(contextlib.closing(_Look(stack)))
        assert server.stdout is not None
        yield stack, look, int(server.stdout.readline()), homes


def _deeds(bench: Bench) -> list[Result]:
    number, active = bench.scale.checked, bench.scale.checked_active
    with _installation() as (stack, look, port, homes):
        scripts = [_DEED.format(place) for place in range(_DEEDS)]
        rows = inside(stack, "checked", "make", number=number, port=port, scripts=scripts, pages=0)
        for row in rows:
            (homes / row["home"]).mkdir()
        stack.start("objectives-1")
        wait_until(
            lambda: min(look.attempts().values()) >= _DEEDS,
            seconds=120, what="a first check of everything",
        )  # fmt: skip
        bench.say(f"{number} livelessons are checked, {active} of them in use")
        random.shuffle(rows)
        begun, before = time.monotonic(), look.attempts()
        seconds: list[float] = []
        rounds = bench.scale.checked_rounds
        idle = [row["id"] for row in rows[rounds * active :]]
        with _counting(stack, idle) as busiest:
            for turn in range(rounds):
                chosen = rows[turn * active : (turn + 1) * active]
                seconds += deeds_done(stack.port, chosen, _DEEDS)
        took, after = time.monotonic() - begun, look.attempts()
        rates = [(after[pk] - before[pk]) / took for pk in idle]
        bench.say("nobody is there any more")
        before, begun = after, time.monotonic()
        time.sleep(bench.scale.checked_idle_seconds)
        later, took = look.attempts(), time.monotonic() - begun
        later_rates = [(later[pk] - before[pk]) / took for pk in idle]
    of = f"{active} of {number} livelessons in use"
    return [
        Result(f"deed to page, {of}, p50", percentile(seconds, 50), "s", 3),
        Result(f"deed to page, {of}, p99", percentile(seconds, 99), "s", 8),
        Result("checks a second of an idle livelesson, the busiest", max(busiest), "/s", 1),
        Result("of one on average", _mean(rates), "/s", 1),
        Result("the same later", _mean(later_rates), "/s", _mean(rates) / 2),
    ]


@contextlib.contextmanager
def _counting(stack: Stack, ids: Sequence[str]) -> Iterator[list[float]]:
    """Yield a list that gets the most checks a second of any one livelesson, for each window."""
    busiest: list[float] = []
    over = threading.Event()

    def count() -> None:
        with contextlib.closing(_Look(stack)) as look:
            begun, before = time.monotonic(), look.attempts()
            while not over.wait(_WINDOW_SECONDS):
                now, after = time.monotonic(), look.attempts()
                busiest.append(max(after[pk] - before[pk] for pk in ids) / (now - begun))
                begun, before = now, after

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield busiest
    finally:
        over.set()
        counting.join()


def _fairness(bench: Bench) -> list[Result]:
    number, seconds = bench.scale.checked_crowd, bench.scale.checked_crowd_seconds
    with _installation() as (stack, look, port, homes):
        rows = inside(
            stack, "checked", "make", number=number, port=port, scripts=["exit 1"], pages=2
        )
        for row in rows:
            (homes / row["home"]).mkdir()
        bench.say(f"{number} livelessons with 3 objectives each on one checker")
        stack.start("objectives-1")
        wait_until(lambda: any(look.attempts().values()), what="a first check")
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(1)
        attempts = list(look.attempts().values())
        took = time.monotonic() - began
        (errors,) = look.rows("SELECT sum(errors) FROM livelessons_liveobjective")[0]
    return [
        Result(f"checks a second, {number} livelessons", sum(attempts) / took, "/s"),
        Result("the most checked against the least", max(attempts) / max(1, min(attempts)), "x", 3),
        Result("never checked", sum(1 for count in attempts if not count), "", 0),
        Result("broken checks", int(errors), "", 0),
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
