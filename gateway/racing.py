"""Doing several things until the first of them ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def race(*contestants: Coroutine[Any, Any, object]) -> None:
    """Run all until the first ends, cancel the others, and raise what ended it, if anything."""
    tasks = [asyncio.ensure_future(contestant) for contestant in contestants]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
