"""The short form of what `make bench` measures: that it measures, not how fast anything is."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from tests.load.bench import __main__ as command
from tests.load.bench.figures import percentile
from tests.load.bench.parts import Bench, Part, run_parts
from tests.load.bench.results import Result, results_table, results_write
from tests.load.bench.scale import QUICK

pytestmark = pytest.mark.load


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def part(run, *, seconds: int = 5) -> Part:
    return Part("some", "something", seconds, run)


@pytest.mark.parametrize(
    ("value", "limit", "at_least", "ok"),
    [
        (1, 2, False, True),
        (2, 2, False, True),
        (3, 2, False, False),
        (1, 2, True, False),
        (2, 2, True, True),
        (9, None, False, True),
    ],
)
def test_a_result_knows_whether_its_limit_is_met(value, limit, at_least, ok):
    assert Result("some", value, "s", limit, at_least=at_least).ok is ok


def test_results_are_written_as_promised(tmp_path: Path):
    results_write([Result("some", 1.5, "s", 2)], tmp_path / "new" / "results.json")

    assert json.loads((tmp_path / "new" / "results.json").read_text()) == [
        {"name": "some", "value": 1.5, "unit": "s", "limit": 2, "ok": True}
    ]


def test_the_table_names_what_was_missed():
    console = quiet()

    console.print(results_table([Result("fast", 1, "s", 2), Result("slow", 3, "s", 2)]))

    [line] = [text for text in console.file.getvalue().splitlines() if "slow" in text]  # type: ignore[attr-defined]
    assert "missed" in line


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5], 50, 5), ([1, 2, 3, 4], 50, 2), ([3, 1, 2], 99, 3), (range(1, 101), 99, 99)],
)
def test_percentiles_are_values_that_occurred(values, percent, expected):
    assert percentile(list(values), percent) == expected


def test_a_part_that_breaks_is_missed_and_the_others_go_on():
    def breaks(bench: Bench) -> list[Result]:
        raise ValueError("no")

    def works(bench: Bench) -> list[Result]:
        return [Result("fine", 1, "s")]

    broken, fine = run_parts([part(breaks), part(works)], QUICK, quiet())

    assert (broken.ok, fine.ok) == (False, True)


def test_a_part_that_does_not_end_is_ended():
    ended = []

    def waits(bench: Bench) -> list[Result]:
        try:
            while True:
                sum(range(1000))
        finally:
            ended.append(True)

    [result] = run_parts([part(waits, seconds=1)], QUICK, quiet())

    assert not result.ok
    assert ended == [True]


@pytest.mark.parametrize("given", ["", "192.0.2.10:8002", "http://192.0.2.10", "http://host:x"])
def test_a_real_cluster_takes_an_address_of_its_bundles(capsys, given: str):
    with pytest.raises(SystemExit):
        command.main(["--only", "kubernetes", "--kubeconfig", "some", "--bundle-url", given])

    assert "--bundle-url http://" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "starts",
        pytest.param("sandboxes", marks=pytest.mark.local_backend),
        "objectives",
        "kubernetes",
        "growth",
        "throughput",
        "imports",
    ],
)
def test_a_quick_part_measures_everything_it_promises(tmp_path: Path, name: str):
    if name == "throughput" and shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")

    status = command.main(
        ["--quick", "--no-fail", "--only", name, "--output", str(tmp_path / "results.json")]
    )

    results = json.loads((tmp_path / "results.json").read_text())
    assert status == 0
    assert results
    assert {tuple(result) for result in results} == {("name", "value", "unit", "limit", "ok")}
    assert not [result["name"] for result in results if "ran to its end" in result["name"]]
    below = {result["name"] for result in results if not result["value"] >= 0}
    # A difference, and a busy machine may make the bare client the slower one.
    assert below <= {"more than that, for what starts cost without a cluster"}
