"""Server-Sent Events of one livelesson: ``GET /api/v1/livelessons/{id}/events``.

Each event ``livelesson`` holds the livelesson whole, as the API shows it; its id is the version,
marked while nobody checks the stage's objectives.
It is sent at once, unless ``Last-Event-ID`` says that it is known, and after every change. The
stream ends after the livelesson is DELETED; who asks again then gets 204 and stops asking.
"""

import asyncio
import contextlib
import json
from uuid import UUID

from gateway.asgi import Receive, Scope, Send, header, respond_problem, wait_for_disconnect
from gateway.credentials import credentials_of
from gateway.database import Database
from gateway.racing import race
from gateway.watching import Watcher
from lessons.specs import stage_objectives
from livelessons.errors import SessionNotFound
from livelessons.models import LiveLesson
from livelessons.selectors import checks_on_of, live_lesson_held
from livelessons.snapshots import snapshot
from livelessons.states import State
from syringe_project.api import retry_after_of, status_of
from syringe_project.errors import Forbidden, SyringeError

KEEPALIVE_SECONDS = 15.0
_RETRY = b"retry: 1000\n\n"
_KEEPALIVE = b": still here\n\n"


class ForeignOrigin(Forbidden):
    code = "foreign_origin"
    template = "A page of another site may not use this browser's session."


class Events:
    """Every event stream of this gateway."""

    def __init__(self, database: Database, watcher: Watcher) -> None:
        self._database = database
        self._watcher = watcher
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream; browsers come back by themselves."""
        self._closing.set()

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, live_lesson_id: UUID
    ) -> None:
        """Answer one request, until the livelesson, the browser or the gateway ends."""
        try:
            live_lesson = await self._authorised(scope, live_lesson_id)
        except SessionNotFound as exc:
            challenge = (b"www-authenticate", b'Bearer realm="syringe"')
            await respond_problem(
                send, status=401, detail=str(exc), code=exc.code, headers=[challenge]
            )
            return
        except SyringeError as exc:
            retry = retry_after_of(exc)
            await respond_problem(
                send,
                status=status_of(exc),
                detail=str(exc),
                code=exc.code,
                headers=[(b"retry-after", str(retry).encode())] if retry else [],
            )
            return
        known = header(scope, b"last-event-id")
        if live_lesson.state == State.DELETED and known == event_id(live_lesson):
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"text/event-stream"),
                    (b"cache-control", b"no-store"),
                    # Proxies that collect answers would hold events back.
                    (b"x-accel-buffering", b"no"),
                ],
            }
        )
        await race(
            self._stream(send, live_lesson_id, known),
            wait_for_disconnect(receive),
            self._closing.wait(),
        )
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body"})

    async def _authorised(self, scope: Scope, live_lesson_id: UUID) -> LiveLesson:
        credentials = credentials_of(scope)
        if credentials.foreign_origin:
            raise ForeignOrigin
        if not credentials.secret:
            raise SessionNotFound
        return await self._database.run(
            live_lesson_held, secret=credentials.secret, live_lesson_id=live_lesson_id
        )

    async def _stream(self, send: Send, live_lesson_id: UUID, known: str) -> None:
        await _send(send, _RETRY)
        async with contextlib.aclosing(self._watcher.follow(live_lesson_id)) as changes:
            change = asyncio.ensure_future(anext(changes))
            try:
                while True:
                    done, _ = await asyncio.wait({change}, timeout=KEEPALIVE_SECONDS)
                    if not done:
                        await _send(send, _KEEPALIVE)
                        continue
                    live_lesson = change.result()
                    if live_lesson is None:
                        return
                    if event_id(live_lesson) != known:
                        await _send(send, event(live_lesson))
                    if live_lesson.state == State.DELETED:
                        return
                    change = asyncio.ensure_future(anext(changes))
            finally:
                change.cancel()
                await asyncio.gather(change, return_exceptions=True)


def event_id(live_lesson: LiveLesson) -> str:
    """Return what tells a livelesson from how it looked before."""
    ended = live_lesson.state == State.DELETED
    off = not ended and stage_objectives(live_lesson.spec, live_lesson.stage)
    suffix = "-unchecked" if off and not checks_on_of(live_lesson) else ""
    return f"{live_lesson.version}{suffix}"


def event(live_lesson: LiveLesson) -> bytes:
    """Return the event that shows a livelesson, whose endpoints were read along."""
    data = json.dumps(snapshot(live_lesson, live_lesson.endpoints.all()), separators=(",", ":"))
    return f"id: {event_id(live_lesson)}\nevent: livelesson\ndata: {data}\n\n".encode()


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
