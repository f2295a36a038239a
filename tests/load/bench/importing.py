"""Timing the importer itself, without the start of a process; runs inside a stack."""

import time
from pathlib import Path

from curriculum.importer import curriculum_import


def time_imports(*, path: str, rounds: int) -> list[float]:
    """Import a folder so many times; return the seconds of each."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        curriculum_import(path=Path(path))
        seconds.append(time.perf_counter() - began)
    return seconds
