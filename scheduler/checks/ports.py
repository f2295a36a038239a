"""Checks of kind ``tcp`` and ``http``: what the endpoint's ports answer."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any

import h11

from lessons.specs import HttpCheckDict, JsonCheckDict, TcpCheckDict
from livelessons.services.objectives import Claimed
from scheduler.checks.patterns import PatternError, found
from scheduler.checks.places import Address, address_of
from scheduler.checks.verdicts import Verdict, broken, failed, passed

MOST_BODY_BYTES = 1024 * 1024
_SILENCE_SECONDS = 0.3
_CHUNK = 64 * 1024
_MISSING = object()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


async def tcp_check(claimed: Claimed, check: TcpCheckDict) -> Verdict:
    """Pass when the port takes a connection and does not drop it at once.

    On the way there may be a relay, which takes every connection and drops those for nobody.
    """
    address = address_of(claimed, check["port"])
    nobody = failed(f"Nothing answers on port {check['port']} of {address.name} yet.")
    try:
        async with asyncio.timeout(check["timeout_seconds"]):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                return nobody if await _is_dropped(reader) else passed()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return nobody


async def _is_dropped(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SILENCE_SECONDS):
            return not await reader.read(1)
    return False


async def http_check(claimed: Claimed, check: HttpCheckDict) -> Verdict:
    """Pass when the answer to a GET is as the check wants it; redirections are answers, too."""
    address = address_of(claimed, check["port"])
    page = f"http://{address.name}:{check['port']}{check['path']}"
    try:
        async with asyncio.timeout(check["timeout_seconds"]):
            answer = await _get(address, check)
    except TimeoutError:
        return failed(f"{page} did not answer in time.")
    except (OSError, h11.RemoteProtocolError) as exc:
        return failed(f"{page} does not answer yet.", f"{type(exc).__name__}: {exc}")
    text = answer.body.decode(errors="replace")
    if answer.status != check["status"]:
        return failed(f"{page} answers {answer.status}, not {check['status']}.", text)
    try:
        if check["body"] and not await found(check["body"], text):
            return failed(f"{page} does not have what it should yet.", text)
    except PatternError as exc:
        return broken(f"{exc}\n{text}")
    if check["json"] and not _says(answer.body, check["json"]):
        return failed(f"{page} does not have what it should yet.", text)
    return passed(detail=text)


async def _get(address: Address, check: HttpCheckDict) -> _Answer:
    """Send a GET and read the answer, of its body no more than we would look at."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(
            method="GET",
            target=check["path"],
            # As the lesson's other endpoints would call it.
            headers=[
                ("Host", f"{address.name}:{check['port']}"),
                ("User-Agent", "syringe"),
                ("Accept", "*/*"),
                ("Connection", "close"),
            ],
        )
        for event in (request, h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await _read_answer(connection, reader)
    finally:
        writer.close()


async def _read_answer(connection: h11.Connection, reader: asyncio.StreamReader) -> _Answer:
    status, body = 0, bytearray()
    while len(body) < MOST_BODY_BYTES:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(_CHUNK))
            case h11.Response(status_code=code):
                status = code
            case h11.Data(data=data):
                body += data
            case h11.InformationalResponse():
                pass
            case _:
                break
    return _Answer(status, bytes(body))


def _says(body: bytes, wanted: JsonCheckDict) -> bool:
    """Say whether the answer is JSON and has the wanted value at that place."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    for key in wanted["path"].split("."):
        if isinstance(value, dict):
            value = value.get(key, _MISSING)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return False
    if value is _MISSING:
        return False
    return (value if isinstance(value, str) else json.dumps(value)) == wanted["equals"]
