"""The gateway as one ASGI application: which address is whose."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from uuid import UUID

from django.conf import settings

from gateway.asgi import Receive, Scope, Send, respond, respond_problem
from gateway.database import Database
from gateway.events import Events
from gateway.front_door import FrontDoor
from gateway.presentation_sockets import PresentationSockets
from gateway.presentations import Presentations
from gateway.shell_registry import ShellRegistry
from gateway.socketio_terminals import SocketIoTerminals
from gateway.terminals import Terminals
from gateway.usage import Usage
from gateway.watching import Watcher
from livelessons import wakeups
from livelessons.presentation_tokens import PREFIX

# `/healthz` asks the web process as well; terminals go on without it.
_HEALTH = "/healthz/gateway"
_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_EVENTS = re.compile(rf"/api/v1/livelessons/({_UUID})/events")
_PRESENTATION = re.compile(re.escape(PREFIX.encode()) + rb"([A-Za-z0-9_.~-]+)(.*)")
_SOCKETIO = re.compile("/socket[.]io/?")
_TERMINAL = re.compile(rf"/terminals/({_UUID})/([^/]+)/([^/]+)")


class Gateway:
    """Everything learners' browsers send, on its way to endpoints, to the page or to web."""

    def __init__(self) -> None:
        self._database = Database()
        self.watcher = Watcher(
            self._database, redis_url=settings.SYRINGE_REDIS_URL, channel=wakeups.CHANNEL
        )
        self._reader: asyncio.Task[None] | None = None
        self.usage = Usage(self._database)
        self.shells = ShellRegistry(self.watcher)
        self._terminals = Terminals(self._database, self.shells, self.usage)
        self.socketio_terminals = SocketIoTerminals(self._database, self.shells, self.usage)
        self._events = Events(self._database, self.watcher)
        self._presentations = Presentations(self._database, self.usage)
        self._presentation_sockets = PresentationSockets(self._database, self.usage)
        self._front_door = FrontDoor(
            settings.SYRINGE_WEB_URL or settings.SYRINGE_INSTANCE_FOLDER / "web.sock",
            proxies=settings.SYRINGE_TRUSTED_PROXIES,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, request or the server's own start and stop."""
        match scope["type"]:
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await self._websocket(scope, receive, send)
            case "http":
                await self._http(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if match := _TERMINAL.fullmatch(scope["path"]):
            live_lesson_id, endpoint, presentation = match.groups()
            await self._terminals.serve(
                scope,
                receive,
                send,
                live_lesson_id=UUID(live_lesson_id),
                endpoint=endpoint,
                presentation=presentation,
            )
        elif page := _PRESENTATION.fullmatch(_target(scope)):
            token, target = page.groups()
            await self._presentation_sockets.serve(
                scope, receive, send, token=token.decode(), target=target
            )
        elif _SOCKETIO.fullmatch(scope["path"]):
            await self.socketio_terminals.serve_socket(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET" and (match := _EVENTS.fullmatch(scope["path"])):
            await self._events.serve(scope, receive, send, live_lesson_id=UUID(match[1]))
        elif page := _PRESENTATION.fullmatch(_target(scope)):
            token, target = page.groups()
            await self._presentations.serve(
                scope, receive, send, token=token.decode(), target=target
            )
        elif _SOCKETIO.fullmatch(scope["path"]):
            await self.socketio_terminals.serve_request(scope, receive, send)
        elif scope["path"] == _HEALTH:
            await self._answer_health(send)
        else:
            await self._front_door.serve(scope, receive, send)

    async def _answer_health(self, send: Send) -> None:
        if self._reader is None or self._reader.done():
            await respond_problem(
                send, status=503, detail="Nobody watches livelessons.", code="watcher_stopped"
            )
        else:
            await respond(send, status=200, body=b"{}", content_type="application/json")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.close()
        await send({"type": "lifespan.shutdown.complete"})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the shared reader going."""
        self._reader = reader = asyncio.get_running_loop().create_task(self.watcher.run())
        try:
            yield
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await self._presentations.close()
            await self._front_door.close()
            await self._database.close()

    def close(self) -> None:
        """End what would never end by itself, so that the process can stop at once."""
        self.shells.close()
        self.socketio_terminals.close()
        self._events.close()


def _target(scope: Scope) -> bytes:
    """Return path and query as the client wrote them: decoding would change them."""
    path, query = bytes(scope["raw_path"]), bytes(scope["query_string"])
    return path + b"?" + query if query else path
