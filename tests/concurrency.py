"""Calls that happen at the same moment, each on a database connection of its own."""

import threading
from collections.abc import Callable

from django.db import connection

from tests.waiting import PATIENCE

THREADS = 6


def at_once(work: Callable[[int], object]) -> list[object]:
    """Run ``work(0..5)`` in as many threads from one barrier; return results or exceptions."""
    barrier = threading.Barrier(THREADS)
    results: list[object] = [None] * THREADS

    def run(number: int) -> None:
        try:
            barrier.wait(timeout=PATIENCE)
            results[number] = work(number)
        except Exception as exc:  # noqa: BLE001 (handed to the test)
            results[number] = exc
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE)
    return results
