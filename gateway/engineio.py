"""Packets of Engine.IO revision 3 and, inside of them, of Socket.IO 2: what is written how.

Engine.IO. A packet is one digit, its type, and text. A WebSocket carries one packet a frame. Long
polling carries any number in one body, each with its length before it: ``2:40`` is one packet of
two characters. Characters are JavaScript's, which are units of UTF-16: an emoji counts as two.
The revision also knows binary packets; nothing that terminals send or need is one.

Socket.IO. A packet is a message of Engine.IO (4) and starts with a digit of its own: ``40`` is
the server's word that the client is connected, ``41`` the last word of either side, and
``42["name",...]`` an event. A client that wants to be told of an event's arrival puts a number
between ``42`` and the bracket.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

MAX_PACKETS = 4096
"""How many packets one body may hold: no browser gathers so many between two requests."""

_LENGTH = re.compile(rb"((?:[0-9]\0){1,8}):\0")
_EVENT = re.compile(r"[0-9]*(?=\[)")


class Malformed(ValueError):
    """The other side does not speak this protocol."""


class Type(IntEnum):
    """What an Engine.IO packet is for. The client pings, the server pongs."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


@dataclass(frozen=True, slots=True)
class Packet:
    """One Engine.IO packet."""

    type: Type
    data: str = ""

    def __str__(self) -> str:
        """Return it as it goes over the wire."""
        return f"{self.type.value}{self.data}"

    @classmethod
    def read(cls, text: str) -> "Packet":
        """Read a packet from the wire; raise Malformed."""
        # int() would take the digits of any script.
        if not "0" <= text[:1] <= "6":
            raise Malformed("a packet begins with its type")
        return cls(Type(int(text[0])), text[1:])


CLOSE = Packet(Type.CLOSE)
PONG = Packet(Type.PONG)
UPGRADE = Packet(Type.UPGRADE)
NOOP = Packet(Type.NOOP)
PROBE = Packet(Type.PING, "probe")
PROBED = Packet(Type.PONG, "probe")
CONNECTED = Packet(Type.MESSAGE, "0")
DISCONNECTED = Packet(Type.MESSAGE, "1")


def encode_payload(packets: Iterable[Packet]) -> bytes:
    """Return the body that carries the packets."""
    texts = map(str, packets)
    return "".join(f"{_units(text)}:{text}" for text in texts).encode()


def decode_payload(body: bytes) -> list[Packet]:
    """Return the packets of a body; raise Malformed when any of it is not as it should be."""
    try:
        units = body.decode().encode("utf-16-le")
    except UnicodeDecodeError:
        raise Malformed("a body is UTF-8") from None
    packets: list[Packet] = []
    place = 0
    while place < len(units):
        length = _LENGTH.match(units, place)
        if length is None or len(packets) == MAX_PACKETS:
            raise Malformed("a body is made of lengths and packets, and not of too many")
        place = length.end() + 2 * int(length[1].decode("utf-16-le"))
        text = units[length.end() : place]
        if place > len(units):
            raise Malformed("a packet is as long as its length says")
        try:
            packets.append(Packet.read(text.decode("utf-16-le")))
        except UnicodeDecodeError:
            raise Malformed("a packet ends between characters") from None
    return packets


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def event(name: str, *arguments: object) -> Packet:
    """Return the message that an event happened."""
    body = json.dumps([name, *arguments], ensure_ascii=False, separators=(",", ":"))
    return Packet(Type.MESSAGE, f"2{body}")


def read_event(message: str) -> tuple[str, list[object]] | None:
    """Return an event's name and arguments, or None for any other message."""
    if not message.startswith("2") or (head := _EVENT.match(message, 1)) is None:
        return None
    try:
        body = json.loads(message[head.end() :])
    except (ValueError, RecursionError):
        return None
    match body:
        case [str() as name, *arguments]:
            return name, arguments
        case _:
            return None
