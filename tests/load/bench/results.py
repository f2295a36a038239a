"""What was measured, against what was promised."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Result:
    """One figure. Without a ``limit`` it is for information; ``ok`` follows from the rest."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False
    ok: bool = field(init=False)

    def __post_init__(self) -> None:
        met = self.limit is None or (
            self.value >= self.limit if self.at_least else self.value <= self.limit
        )
        object.__setattr__(self, "ok", met)


def results_write(results: Sequence[Result], path: Path) -> None:
    """Write the results as a JSON list of objects with name, value, unit, limit and ok."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {key: value for key, value in asdict(result).items() if key != "at_least"}
        for result in results
    ]
    path.write_text(json.dumps(rows, indent=2) + "\n")


def results_table(results: Sequence[Result]) -> Table:
    """Return the table that people read."""
    table = Table(title="make bench")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("")
    for result in results:
        limit = ""
        if result.limit is not None:
            limit = f"{'≥' if result.at_least else '≤'} {_number(result.limit)} {result.unit}"
        verdict = "" if result.limit is None else "[green]ok" if result.ok else "[red]missed"
        table.add_row(result.name, f"{_number(result.value)} {result.unit}", limit, verdict)
    return table


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
