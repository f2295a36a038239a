"""A page of the existing front end as the gateway sees it: Socket.IO 2 over Engine.IO 3.

It has its own idea of the protocol, so that a mistake of the gateway's is not made twice.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.waiting import PATIENCE


def javascript_length(text: str) -> int:
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def payload(*packets: str) -> bytes:
    return "".join(f"{javascript_length(packet)}:{packet}" for packet in packets).encode()


def packets_of(body: bytes) -> list[str]:
    """Read a body character by character, as a browser counts them."""
    text, packets, place = body.decode(), [], 0
    while place < len(text):
        colon = text.index(":", place)
        left, end = int(text[place:colon]), colon + 1
        while left > 0:
            left -= javascript_length(text[end])
            end += 1
        assert left == 0
        packets.append(text[colon + 1 : end])
        place = end
    return packets


@dataclass
class Page:
    """Remembers what it was told; ``login`` is what ``/exp`` handed out."""

    browser: httpx.AsyncClient
    login: dict[str, str]
    sid: str = ""
    hello: dict[str, Any] = field(default_factory=dict)
    shown: str = ""
    errors: list[str] = field(default_factory=list)
    packets: list[str] = field(default_factory=list)
    connected: bool = False
    disconnected: bool = False
    closed: bool = False
    socket: ClientConnection | None = None

    def query(self, **changes: str) -> dict[str, str]:
        sid = {"sid": self.sid} if self.sid else {}
        return {**self.login, "EIO": "3", "transport": "polling", **sid, **changes}

    async def get(self, **changes: str) -> httpx.Response:
        query = self.query(**{"transport": "polling", **changes})
        return await self.browser.get("/socket.io/", params=query, timeout=PATIENCE)

    async def post(self, *packets: str) -> httpx.Response:
        return await self.browser.post(
            "/socket.io/",
            params=self.query(),
            content=payload(*packets),
            headers={"Content-Type": "text/plain;charset=UTF-8"},
        )

    def websocket(self) -> connect:
        host = f"{self.browser.base_url.host}:{self.browser.base_url.port}"
        query = urlencode(self.query(transport="websocket"))
        return connect(f"ws://{host}/socket.io/?{query}", compression=None, max_size=None)

    async def open(self) -> None:
        """Shake hands by polling."""
        await self.poll()

    async def open_socket(self) -> None:
        """Shake hands over a WebSocket."""
        self.socket = await self.websocket()
        while not self.connected:
            await self.read()

    async def upgrade(self) -> None:
        """Move to a WebSocket: the poll that waits must be answered before the last step."""
        socket = await self.websocket()
        poll = asyncio.create_task(self.poll())
        await socket.send("2probe")
        assert await socket.recv() == "3probe"
        async with asyncio.timeout(PATIENCE):
            await poll
        await socket.send("5")
        self.socket = socket

    async def poll(self) -> None:
        response = await self.get()
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/plain; charset=UTF-8"
        for packet in packets_of(response.content):
            self.hear(packet)

    async def read(self) -> None:
        """Hear whatever comes next, over the transport that there is."""
        if self.socket is None:
            await self.poll()
            return
        try:
            async with asyncio.timeout(PATIENCE):
                frame = await self.socket.recv()
        except ConnectionClosed:
            self.closed = True
        else:
            assert isinstance(frame, str)
            self.hear(frame)

    async def read_to_the_end(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.closed:
                await self.read()

    async def say(self, *packets: str) -> None:
        if self.socket is None:
            response = await self.post(*packets)
            assert (response.status_code, response.text) == (200, "ok")
        else:
            for packet in packets:
                await self.socket.send(packet)

    async def emit(self, name: str, *arguments: object) -> None:
        await self.say("42" + json.dumps([name, *arguments], ensure_ascii=False))

    async def type(self, line: str) -> None:
        await self.emit("data", line + "\r")

    async def until(self, text: str) -> str:
        """Read until the screen was shown ``text``; return what came up to its end."""
        searched = 0
        while (found := self.shown.find(text, searched)) < 0:
            assert not self.closed, (self.shown[-200:], self.errors)
            searched = max(0, len(self.shown) - len(text))
            await self.read()
        end = found + len(text)
        before, self.shown = self.shown[:end], self.shown[end:]
        return before

    async def run(self, command: str, mark: str = "MARK") -> str:
        """Run a command and return the output up to the mark that is printed after it."""
        await self.type(f"{command}; printf '%s\\n' {mark[0]}''{mark[1:]}")
        return await self.until(mark + "\r\n")

    def hear(self, packet: str) -> None:
        self.packets.append(packet if len(packet) < 100 else packet[:100])
        match packet[:2]:
            case "40":
                self.connected = True
            case "41":
                self.disconnected = True
            case "42":
                name, argument = json.loads(packet[2:])
                if name == "data":
                    self.shown += argument
                else:
                    assert name == "ssherror"
                    self.errors.append(argument)
            case _ if packet[0] == "0":
                self.hello = json.loads(packet[1:])
                self.sid = self.hello["sid"]
            case "1":
                self.closed = True
            case _:
                assert packet in {"3", "6"}, packet

    async def leave(self) -> None:
        if self.socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self.socket.close()
        elif self.sid and not self.closed:
            await self.post("1")
