"""Real sandboxes of the ``local`` backend, asked for and used through the front door."""

import json
import time
from collections.abc import Sequence
from uuid import UUID

from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.load.bench.figures import median, percentile
from tests.load.bench.learners import Learner, Watch, watching
from tests.load.bench.parts import Bench
from tests.load.bench.results import Result
from tests.stack import LOCAL, ROOT, Stack

ONE_ENDPOINT = "shell-first-steps"
TWO_ENDPOINTS = "two-machines"
_TERMINAL = "linux/terminal"
# So wide that no line wraps, which a shell answers with more than the key.
_WIDE = "?cols=1000&rows=24"
_TIMEOUT_SECONDS = 10


def measure(bench: Bench) -> Sequence[Result]:
    """Return the times of starts with one and two endpoints, and of a terminal's echo."""
    scale = bench.scale
    with (
        Stack(backend=LOCAL, web_workers=2, env={"SYRINGE_SESSIONS_PER_ADDRESS": "0"}) as stack,
        Learner(stack, front_door=True) as learner,
        watching(stack) as watch,
    ):
        stack.manage("import_curriculum", str(ROOT / "curriculum" / "sample"))
        figures = {}
        for lesson in (ONE_ENDPOINT, TWO_ENDPOINTS):
            bench.say(f"{scale.sandboxes} starts of {lesson}")
            figures[lesson] = [_start(learner, watch, lesson) for _ in range(1 + scale.sandboxes)]
        bench.say(f"{scale.keystrokes} keystrokes")
        echoes = _echoes(stack, learner, watch, scale.keystrokes)
    one, two = (figures[lesson][1:] for lesson in (ONE_ENDPOINT, TWO_ENDPOINTS))
    return [
        Result("local, one endpoint, POST to READY, p50", median(one), "s", 1),
        Result("local, one endpoint, slowest", max(one), "s"),
        Result("local, two endpoints, POST to READY, p50", median(two), "s", 1.2),
        Result("local, two endpoints, slowest", max(two), "s"),
        Result("terminal echo through the gateway, p50", percentile(echoes, 50) * 1000, "ms", 5),
        Result("terminal echo through the gateway, p99", percentile(echoes, 99) * 1000, "ms"),
    ]


def _start(learner: Learner, watch: Watch, lesson: str) -> float:
    """Return the seconds until READY; the livelesson is gone before this returns."""
    live_lesson_id, seconds = _ready(learner, watch, lesson)
    _end(learner, watch, live_lesson_id)
    return seconds


def _ready(learner: Learner, watch: Watch, lesson: str) -> tuple[UUID, float]:
    learner.open_session()
    began = time.perf_counter()
    live_lesson_id = learner.start(lesson)
    return live_lesson_id, watch.wait_for(live_lesson_id, "READY") - began


def _end(learner: Learner, watch: Watch, live_lesson_id: UUID) -> None:
    learner.end(live_lesson_id)
    watch.wait_for(live_lesson_id, "DELETED")


def _echoes(stack: Stack, learner: Learner, watch: Watch, number: int) -> list[float]:
    """Return the seconds from each keystroke to its echo, typed as people do: one by one."""
    live_lesson_id, _ = _ready(learner, watch, ONE_ENDPOINT)
    with connect(
        f"ws://127.0.0.1:{stack.port}/terminals/{live_lesson_id}/{_TERMINAL}{_WIDE}",
        additional_headers={"Authorization": f"Bearer {learner.secret}"},
        compression=None,
        open_timeout=_TIMEOUT_SECONDS,
    ) as terminal:
        terminal.send(b"echo re''ady\r")
        _read_until(terminal, b"ready\r\n")
        times = [_echo(terminal, b"abcdefghij"[turn % 10 :][:1]) for turn in range(number)]
    _end(learner, watch, live_lesson_id)
    return times


def _echo(terminal: Connection, key: bytes) -> float:
    time.sleep(0.005)
    began = time.perf_counter()
    terminal.send(key)
    _read_until(terminal, key)
    return time.perf_counter() - began


def _read_until(terminal: Connection, text: bytes) -> None:
    seen = b""
    while text not in seen:
        frame = terminal.recv(timeout=_TIMEOUT_SECONDS)
        if isinstance(frame, bytes):
            seen += frame
        elif json.loads(frame)["type"] == "error":
            raise AssertionError(f"the terminal closed: {frame}")
