"""The one asyncio loop of a worker process, for everything that waits."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_tasks: set[asyncio.Task[Any]] = set()


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, starting its daemon thread the first time."""
    global _loop  # noqa: PLW0603 (one loop per process is the point)
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="syringe-loop", daemon=True).start()
        return _loop


def spawn(work: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine on the loop and return at once. Thread-safe."""
    loop = running_loop()
    loop.call_soon_threadsafe(_start, work)


def _start(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    # The loop keeps only weak references to tasks.
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
