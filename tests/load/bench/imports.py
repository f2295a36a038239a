"""How long curricula take on their way into the database."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.load.bench.figures import median
from tests.load.bench.inside import inside
from tests.load.bench.parts import Bench
from tests.load.bench.results import Result
from tests.load.generate_curriculum import generate_curriculum
from tests.stack import FAKE, Stack

_ROUNDS = 5


def measure(bench: Bench) -> Sequence[Result]:
    """Import a curriculum that is there already, and a large one that is not."""
    few, many = bench.scale.few_lessons, bench.scale.many_lessons
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(backend=FAKE, workers=0, without=("web", "gateway", "gc", "beat")) as stack,
    ):
        small = generate_curriculum(Path(folder, "small"), lessons=few)
        large = generate_curriculum(Path(folder, "large"), lessons=many, seed=2)
        bench.say(f"{few} lessons, unchanged")
        stack.manage("import_curriculum", str(small))
        unchanged = _times(stack, small, _ROUNDS)
        began = time.perf_counter()
        stack.manage("import_curriculum", str(small))
        command = time.perf_counter() - began
        bench.say(f"{many} lessons, new")
        [new] = _times(stack, large, 1)
        bench.say(f"{many} lessons, unchanged")
        [again] = _times(stack, large, 1)
    return [
        Result(f"import of {few} unchanged lessons", median(unchanged), "s", 1),
        Result("the same, the whole command", command, "s"),
        Result(f"import of {many} new lessons", new, "s", 15),
        Result(f"import of {many} unchanged lessons", again, "s"),
    ]


def _times(stack: Stack, path: Path, rounds: int) -> list[float]:
    times: list[float] = inside(stack, "importing", "time_imports", path=str(path), rounds=rounds)
    return times
