"""Authors' patterns: found as Python's ``re`` does, and given up when they take too long."""

import asyncio

import pytest

from scheduler.checks import patterns
from scheduler.checks.patterns import PatternError, found


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("^two$", "one\ntwo\nthree", True),
        (r"\Atwo", "one\ntwo", False),
        ("T.O", "two", False),
        ("(?i)T.O", "two", True),
        (r"\d{3}\s+ms", "it took 120  ms", True),
    ],
)
async def test_patterns_are_searched_for(pattern, text, expected):
    assert await found(pattern, text) is expected


@pytest.mark.parametrize("pattern", ["(", "*", "(?P<a>x)(?P<a", "[z-a]"])
async def test_what_is_no_pattern_is_said(pattern):
    with pytest.raises(PatternError):
        await found(pattern, "text")


async def test_a_pattern_that_takes_for_ever_holds_up_nothing(monkeypatch):
    monkeypatch.setattr(patterns, "SECONDS", 2.0)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises(PatternError, match="too long"):
        await found("(a|a)*$", "a" * 4000 + "b")
    ticking.cancel()

    # Hundreds, if nobody else needs the processor; held up there were none.
    assert ticks > 5
