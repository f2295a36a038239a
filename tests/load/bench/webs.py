"""A web process alone, as `make up` runs it, over a database that is filled already."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.load.bench.inside import inside
from tests.load.bench.requests import Shown
from tests.load.generate_curriculum import generate_curriculum
from tests.stack import FAKE, Stack, free_port

LESSONS = 25
WEB_WORKERS = 2


class Web(Stack):
    """web only, with the bare view, and on a port as well, since wrk knows no UNIX sockets."""

    def __init__(self) -> None:
        super().__init__(
            backend=FAKE,
            web_workers=WEB_WORKERS,
            workers=0,
            without=("gateway", "gc", "beat"),
            env={"DJANGO_SETTINGS_MODULE": "tests.load.bare_settings"},
        )
        self.web_port = free_port()

    def command(self, name: str) -> list[str]:
        command = super().command(name)
        return [*command, "--bind", f"127.0.0.1:{self.web_port}"] if name == "web" else command


@contextlib.contextmanager
def filled_web(number: int, *, known: int) -> Iterator[tuple[Web, Sequence[Shown]]]:
    """Yield a web over 25 lessons and so many livelessons, with what opens some of them."""
    with tempfile.TemporaryDirectory() as folder, Web() as web:
        web.manage("import_curriculum", str(generate_curriculum(Path(folder), lessons=LESSONS)))
        shown: list[dict[str, Any]] = inside(
            web, "population", "populate", number=number, known=known
        )
        yield web, shown
