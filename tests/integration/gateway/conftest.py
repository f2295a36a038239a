"""A gateway in this process, and livelessons whose endpoints are servers of the test."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from asgiref.sync import sync_to_async
from django.db import connections
from websockets.asyncio.client import ClientConnection, connect

from gateway.application import Gateway
from livelessons.models import LiveLesson
from livelessons.states import State
from tests.integration.gateway.ssh_server import SshServer, ssh_server
from tests.waiting import PATIENCE


@dataclass(frozen=True)
class RunningGateway:
    """``address`` is host and port."""

    application: Gateway
    address: str

    def terminal(
        self,
        live_lesson: LiveLesson,
        query: str = "",
        *,
        secret: str | None = None,
        path: str = "linux1/cli",
        **options: Any,
    ) -> connect:
        """Open a terminal's WebSocket as the session's holder."""
        if secret is None:
            secret = live_lesson.session.secret  # type: ignore[attr-defined]
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        headers |= options.pop("headers", {})
        return connect(
            f"ws://{self.address}/terminals/{live_lesson.pk}/{path}?{query}",
            additional_headers=headers,
            compression=None,
            **options,
        )


@contextlib.asynccontextmanager
async def serving(application: Any, **options: Any) -> AsyncIterator[uvicorn.Server]:
    """Serve an ASGI application until the block ends."""
    config = uvicorn.Config(
        application, **{"port": 0, "log_config": None, "access_log": False, "proxy_headers": False,
        "ws_per_message_deflate": False, "timeout_graceful_shutdown": 2, **options},
    )  # fmt: skip
    server = uvicorn.Server(config)
    # The signal handlers are pytest's.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE):
        while not server.started:  # noqa: ASYNC110 (uvicorn offers no event)
            await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        if close := getattr(application, "close", None):
            close()
        server.should_exit = True
        await task


def port_of(server: uvicorn.Server) -> int:
    """Return the port that the kernel chose."""
    return int(server.servers[0].sockets[0].getsockname()[1])


@pytest.fixture
async def gateway(transactional_db: None) -> AsyncIterator[RunningGateway]:
    application = Gateway()
    async with serving(application) as server:
        yield RunningGateway(application, f"127.0.0.1:{port_of(server)}")
    # The thread of the tests' own asynchronous queries holds a connection, too.
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def browser(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the gateway that follows no redirects."""
    async with httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=PATIENCE) as client:
        yield client


@pytest.fixture
async def ssh() -> AsyncIterator[SshServer]:
    async with ssh_server() as server:
        yield server


@pytest.fixture
def make_running(
    transactional_db: None, make_live_lesson: Callable[..., LiveLesson]
) -> Callable[..., LiveLesson]:
    """Return a factory of READY livelessons whose ports are relayed to those given."""

    def make(ports: dict[int, int], **fields: Any) -> LiveLesson:
        live_lesson = make_live_lesson(**{"state": State.READY, **fields})
        live_lesson.endpoints.update(
            attempt=live_lesson.attempt,
            host="127.0.0.1",
            ports={str(port): relayed for port, relayed in ports.items()},
        )
        return live_lesson

    return make


@dataclass
class Terminal:
    """A client of the terminal protocol that remembers everything it was sent."""

    socket: ClientConnection
    output: bytearray = field(default_factory=bytearray)
    messages: tuple[dict[str, Any], ...] = ()

    async def hello(self) -> dict[str, Any]:
        """Read the first message."""
        while not self.messages:
            await self.read()
        return self.messages[0]

    async def read(self) -> None:
        """Read one frame."""
        async with asyncio.timeout(PATIENCE):
            frame = await self.socket.recv()
        if isinstance(frame, bytes):
            self.output += frame
        else:
            self.messages += (json.loads(frame),)

    async def until(self, text: bytes) -> bytes:
        """Read until the output holds ``text``; return what came up to its end."""
        searched = 0
        while (found := self.output.find(text, searched)) < 0:
            searched = max(0, len(self.output) - len(text))
            await self.read()
        end = found + len(text)
        before = bytes(self.output[:end])
        del self.output[:end]
        return before

    async def type(self, line: str) -> None:
        """Type a line and Enter."""
        await self.socket.send(line.encode() + b"\r")

    async def run(self, command: str, mark: str = "MARK") -> bytes:
        """Run a command and return the output up to the mark that is printed after it."""
        await self.type(f"{command}; printf '%s\\n' {mark[0]}''{mark[1:]}")
        return await self.until(mark.encode() + b"\r\n")
