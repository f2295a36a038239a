"""Packets of Engine.IO 3 and Socket.IO 2, as the existing front end's library writes them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engineio import (
    CONNECTED,
    DISCONNECTED,
    MAX_PACKETS,
    PROBE,
    PROBED,
    Malformed,
    Packet,
    Type,
    decode_payload,
    encode_payload,
    event,
    read_event,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PACKETS = st.builds(Packet, st.sampled_from(Type), TEXTS)


def javascript_length(text: str) -> int:
    """Return what ``text.length`` is in a browser."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


@given(st.lists(PACKETS, max_size=20))
def test_a_body_gives_back_what_went_in(packets: list[Packet]):
    assert decode_payload(encode_payload(packets)) == packets


@given(PACKETS)
def test_a_frame_gives_back_what_went_in(packet: Packet):
    assert Packet.read(str(packet)) == packet


@given(PACKETS)
def test_the_length_is_what_a_browser_counts(packet: Packet):
    text = str(packet)
    assert encode_payload([packet]).decode() == f"{javascript_length(text)}:{text}"


@pytest.mark.parametrize(
    ("body", "packets"),
    [
        ("2:40", [CONNECTED]),
        ("2:402:41", [CONNECTED, DISCONNECTED]),
        ("6:2probe6:3probe", [PROBE, PROBED]),
        ("1:21:61:5", [Packet(Type.PING), Packet(Type.NOOP), Packet(Type.UPGRADE)]),
        ('14:42["data","ž"]', [event("data", "ž")]),
        ('15:42["data","🐎"]', [event("data", "🐎")]),
        ("", []),
    ],
)
def test_bodies_of_the_protocol(body: str, packets: list[Packet]):
    assert decode_payload(body.encode()) == packets
    assert encode_payload(packets).decode() == body


@pytest.mark.parametrize(
    "body",
    [
        b"40", b":40", b"3:40", b"1:40", b"-1:40", b"2;40", b" 2:40", b"0:", b"2:", b"1:7", b"1:x",
        b"2:402", b"2:40 ", b"99999999:40", b"999999999999:40", b"\xff:40", b"2:4\xff",
        "٢:40".encode(), "1:٢".encode(), "2:4🐎".encode(), b"\x00\x02\xff40",
    ],
)  # fmt: skip
def test_other_bodies_are_refused(body: bytes):
    with pytest.raises(Malformed):
        decode_payload(body)


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_or_refused(body: bytes):
    try:
        packets = decode_payload(body)
    except Malformed:
        return
    assert decode_payload(encode_payload(packets)) == packets


def test_a_body_holds_so_many_packets_and_no_more():
    assert len(decode_payload(b"1:2" * MAX_PACKETS)) == MAX_PACKETS
    with pytest.raises(Malformed):
        decode_payload(b"1:2" * (MAX_PACKETS + 1))


@pytest.mark.parametrize("frame", ["", "7", "x", " 2", "٢", "²", "-1", "b4AAEC"])
def test_other_frames_are_refused(frame: str):
    with pytest.raises(Malformed):
        Packet.read(frame)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(TEXTS, st.lists(JSON, max_size=3))
def test_an_event_gives_back_what_went_in(name: str, arguments: list[object]):
    packet = event(name, *arguments)

    assert packet.type is Type.MESSAGE
    assert read_event(packet.data) == (name, arguments)


def test_an_event_is_json_after_two_digits():
    text = str(event("data", "a\r\nb\u2028"))
    assert text.startswith('42["data",')
    assert json.loads(text[2:]) == ["data", "a\r\nb\u2028"]


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ('2["geometry",80,24]', ("geometry", [80, 24])),
        ('217["data","x"]', ("data", ["x"])),
        ('2["ping"]', ("ping", [])),
        ("0", None),
        ("1", None),
        ("", None),
        ("2", None),
        ("2[]", None),
        ("2[1]", None),
        ("2{}", None),
        ('2["data"', None),
        ('2/admin,["data","x"]', None),
        ('51-["data",{"_placeholder":true,"num":0}]', None),
        ("2" + "[" * 100_000, None),
    ],
)
def test_only_events_are_read(message: str, read: object):
    assert read_event(message) == read
