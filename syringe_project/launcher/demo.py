"""A learner's whole visit, through the public API only, with the time of each step.

``python -m syringe_project.launcher.demo [--url URL] [--lesson SLUG]`` needs a running Syringe;
``make demo`` starts one where none runs.
"""

import argparse
import asyncio
import contextlib
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import websockets
from websockets.asyncio.client import ClientConnection, connect

from syringe_project.environment import environment
from syringe_project.launcher.console import Console, Refusal

READY_SECONDS = 120
ANSWER_SECONDS = 15
_Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Learner:
    """What one visit knows: the address, and a client that shows the session's secret."""

    client: httpx.AsyncClient
    secret: str

    async def ask(self, method: str, path: str, body: _Json | None = None) -> _Json:
        """Call the API; raise Refusal with its own sentence when it says no."""
        response = await self.client.request(method, path, json=body, headers=self.headers())
        answer: _Json = response.json() if response.content else {}
        if response.is_error:
            detail = answer.get("detail", f"it answered {response.status_code}")
            raise Refusal(f"{method} {path} was refused: {detail}")
        return answer

    def headers(self) -> dict[str, str]:
        """Return what shows who is calling."""
        return {"Authorization": f"Bearer {self.secret}"}

    async def events(self, live_lesson_id: str) -> AsyncIterator[_Json]:
        """Yield the livelesson now and after every change; connections may break in between."""
        known = ""
        path = f"/api/v1/livelessons/{live_lesson_id}/events"
        while True:
            headers = {**self.headers(), "Last-Event-ID": known}
            with contextlib.suppress(httpx.TransportError):
                async with self.client.stream("GET", path, headers=headers) as answer:
                    if answer.status_code != httpx.codes.OK:
                        return
                    async for line in answer.aiter_lines():
                        if line.startswith("id: "):
                            known = line.removeprefix("id: ")
                        elif line.startswith("data: "):
                            yield json.loads(line.removeprefix("data: "))
            await asyncio.sleep(0.2)

    async def wait_for(self, live_lesson_id: str, state: str, *, stage: int = 0) -> _Json:
        """Return the livelesson once it is in a state; raise Refusal when it fails instead."""
        async with contextlib.aclosing(self.events(live_lesson_id)) as events:  # type: ignore[type-var]
            async for seen in events:
                if seen["state"] == state and (state != "READY" or seen["stage"] == stage):
                    return seen
                if seen["state"] in {"FAILED", "DELETED"}:
                    reason = seen["reason"] or {"text": f"it became {seen['state']}"}
                    raise Refusal(f"The lesson did not become {state}: {reason['text']}")
        raise Refusal(f"The events ended before the lesson became {state}.")

    def terminal(self, path: str) -> connect:
        """Open the WebSocket of a terminal."""
        address = str(self.client.base_url).replace("http", "ws", 1).rstrip("/")
        return connect(
            f"{address}{path}", additional_headers=self.headers(), open_timeout=ANSWER_SECONDS
        )


async def within(seconds: float, what: str, doing: Awaitable[T]) -> T:
    """Wait for something, or raise Refusal naming what it was."""
    try:
        return await asyncio.wait_for(doing, seconds)
    except TimeoutError:
        raise Refusal(f"Waited {seconds:g} s in vain for {what}.") from None


async def run_in_terminal(socket: ClientConnection, command: str) -> str:
    """Type a command and return what it printed, up to a mark that is printed after it."""
    mark = f"done-{secrets.token_hex(4)}"
    # Typed in two parts, so that the echo of the line is not taken for its output.
    await socket.send(f"{command}; echo {mark[:7]}''{mark[7:]}\r".encode())
    output = ""
    async for frame in socket:
        if isinstance(frame, str):
            message = json.loads(frame)
            if message["type"] == "error":
                raise Refusal(f"The terminal closed: {message['detail']}")
        else:
            output += frame.decode(errors="replace")
        if f"{mark}\r\n" in output:
            return output.partition(mark)[0]
    raise Refusal("The terminal closed before the command was done.")


async def visit(console: Console, client: httpx.AsyncClient, wanted: str | None) -> None:
    """Be a learner from the first request to the last."""
    with console.step("Opened a session"):
        response = await client.post("/api/v1/sessions", json={})
        if response.is_error:
            raise Refusal(f"No session: {response.json().get('detail', response.status_code)}")
        learner = Learner(client, response.json()["secret"])
    with console.step("Chose a lesson") as step:
        lesson = await choose(learner, wanted)
        step.text = f"Chose the lesson “{lesson['name']}” ({lesson['slug']})"
    with console.step("Asked for the lesson"):
        live = await learner.ask("POST", "/api/v1/livelessons", {"lesson": lesson["slug"]})
    try:
        await work_through(console, learner, lesson, live["id"])
    except BaseException:
        # Leave nothing running, whatever went wrong; what did is more worth telling.
        with contextlib.suppress(Refusal, httpx.HTTPError):
            await learner.ask("DELETE", f"/api/v1/livelessons/{live['id']}")
        raise


async def choose(learner: Learner, wanted: str | None) -> _Json:
    """Return the lesson named, or one that shows most: with a terminal and several stages."""
    if wanted is not None:
        return await learner.ask("GET", f"/api/v1/lessons/{wanted}")
    listed = (await learner.ask("GET", "/api/v1/lessons"))["lessons"]
    listed.sort(key=lambda entry: (entry["stages"] < 2, len(entry["prerequisites"])))
    for entry in listed:
        if entry["startable"]:
            lesson = await learner.ask("GET", f"/api/v1/lessons/{entry['slug']}")
            ways = [way for end in lesson["endpoints"] for way in end["presentations"]]
            if any(way["type"] == "ssh" for way in ways):
                return lesson
    raise Refusal("The curriculum has no lesson with a terminal that can be started.")


async def work_through(
    console: Console, learner: Learner, lesson: _Json, live_lesson_id: str
) -> None:
    """Wait, type, change the stage, end, and look whether anything is left."""
    path = f"/api/v1/livelessons/{live_lesson_id}"
    with console.step("READY, as its events told", announce="Waiting for READY"):
        live = await within(READY_SECONDS, "READY", learner.wait_for(live_lesson_id, "READY"))
    name, terminal = first_terminal(live)
    with console.step(f"Opened a terminal on {name}"):
        socket = await within(ANSWER_SECONDS, "the terminal", open_terminal(learner, terminal))
    async with socket:
        with console.step("Ran a command") as step:
            output = await within(
                ANSWER_SECONDS, "the command", run_in_terminal(socket, "echo $((6 * 7))")
            )
            if "42" not in output:
                raise Refusal(f"The terminal cannot multiply: {output!r}")
            step.text = f"Ran a command on {name}: 6 x 7 is 42 there, too"
        if len(lesson["stages"]) > 1:
            with console.step("Moved to stage 2 of {}".format(len(lesson["stages"]))):
                await learner.ask("POST", f"{path}/stage", {"stage": 1})
                await within(
                    READY_SECONDS,
                    "the next stage",
                    learner.wait_for(live_lesson_id, "READY", stage=1),
                )
            with console.step("The same terminal goes on"):
                await within(ANSWER_SECONDS, "the command", run_in_terminal(socket, "pwd"))
        ran_here = bool(await asyncio.to_thread(traces_on_this_machine, live_lesson_id))
        with console.step("Ended the lesson"):
            await learner.ask("DELETE", path)
            await within(READY_SECONDS, "the end", learner.wait_for(live_lesson_id, "DELETED"))
        with console.step("The terminal closed, and said why") as step:
            step.text = f"The terminal closed: {await within(ANSWER_SECONDS, 'it', closed(socket))}"
    with console.step("Nothing is left") as step:
        step.text = await within(
            READY_SECONDS, "the clean-up", look_for_rest(learner, live_lesson_id, ran_here=ran_here)
        )


def first_terminal(live: _Json) -> tuple[str, str]:
    """Return an endpoint's name and the address of its terminal."""
    for endpoint in live["endpoints"]:
        for way in endpoint["presentations"]:
            if way["type"] == "ssh":
                return endpoint["name"], way["path"]
    raise Refusal("The lesson has no terminal.")


async def open_terminal(learner: Learner, path: str) -> ClientConnection:
    """Connect and read the greeting; raise Refusal with the sentence it was closed with."""
    socket = await learner.terminal(path)
    message = json.loads(await socket.recv())
    if message["type"] != "terminal":
        await socket.close()
        raise Refusal(f"No terminal: {message['detail']}")
    return socket


async def closed(socket: ClientConnection) -> str:
    """Return the sentence that a terminal was closed with."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_reason or f"code {socket.close_code}"


async def look_for_rest(learner: Learner, live_lesson_id: str, *, ran_here: bool) -> str:
    """Say what shows that nothing is left: in the API and, if it ran here, on this machine."""
    path = f"/api/v1/livelessons/{live_lesson_id}"
    response = await learner.client.get(path, headers=learner.headers())
    if response.status_code == httpx.codes.NOT_FOUND:
        said = "the API knows it no more"
    else:
        said = f"the API says {response.json()['state']}"
        if response.json()["ended_at"] is None:
            raise Refusal(f"The lesson has no end, though {said}.")
    if not ran_here:
        return f"Nothing is left: {said}"
    while await asyncio.to_thread(traces_on_this_machine, live_lesson_id):  # noqa: ASYNC110
        # Namespaces may outlast their last process by a moment, and nobody tells when they end.
        await asyncio.sleep(0.1)
    return f"Nothing is left: {said}, and its processes and files on this machine are gone"


def traces_on_this_machine(live_lesson_id: str) -> list[str]:
    """Name the files of a livelesson's sandboxes, and the processes that hold one open."""
    folder = environment().instance_folder
    mark = live_lesson_id.replace("-", "")
    found = [str(file) for file in folder.rglob(f"*{mark}*")]
    for process in Path("/proc").glob("[0-9]*"):
        # Processes and files may be gone before we look, or be other users'.
        with contextlib.suppress(OSError):
            for link in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    path = link.readlink()
                    if path.is_relative_to(folder) and mark in str(path):
                        found.append(str(process))
    return found


async def _main(console: Console, url: str, lesson: str | None) -> None:
    timeout = httpx.Timeout(ANSWER_SECONDS, read=60)
    async with httpx.AsyncClient(base_url=url, timeout=timeout) as client:
        await visit(console, client, lesson)


def main(words: Sequence[str] | None = None) -> int:
    """Make the visit; a failure is one sentence and exit status 1."""
    parser = argparse.ArgumentParser(
        prog="python -m syringe_project.launcher.demo", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--url", help="where Syringe is; http://localhost:SYRINGE_PORT by default")
    parser.add_argument("--lesson", metavar="SLUG", help="which lesson; one with a terminal")
    arguments = parser.parse_args(words)
    url = (arguments.url or f"http://localhost:{environment().port}").rstrip("/")
    console = Console()
    if urlsplit(url).scheme not in {"http", "https"}:
        console.refuse(f"{url} is no address of a web server.")
        return 2
    started = time.monotonic()
    console.say(f"A learner visits {url}.")
    try:
        asyncio.run(_main(console, url, arguments.lesson))
    except Refusal as refusal:
        console.refuse(str(refusal))
        return 1
    except (httpx.ConnectError, httpx.ConnectTimeout):
        console.refuse(f"Nothing answers at {url}: start it with `make up`.")
        return 1
    except (httpx.HTTPError, OSError, websockets.WebSocketException) as exc:
        console.refuse(f"The connection to {url} failed: {type(exc).__name__}.")
        return 1
    console.did("in all", time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
