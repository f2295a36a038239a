"""The end of a terminal's output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.scrollback import Scrollback


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 64))
def test_it_holds_the_end_of_what_was_written(pieces: list[bytes], capacity: int):
    scrollback = Scrollback(capacity)
    for piece in pieces:
        scrollback.append(piece)
    whole = b"".join(pieces)

    assert scrollback.end == len(whole)
    assert scrollback.end - scrollback.start == min(len(whole), capacity)
    assert scrollback.read(scrollback.start, capacity) == whole[-capacity:][: len(whole)]
    assert scrollback.start <= scrollback.replay_start() <= scrollback.end


def test_reading_goes_on_where_it_stopped():
    scrollback = Scrollback(8)
    scrollback.append(b"abcdef")
    assert scrollback.read(0, 4) == b"abcd"
    scrollback.append(b"ghij")
    assert scrollback.read(4, 4) == b"efgh"
    assert scrollback.read(8, 4) == b"ij"
    assert scrollback.read(10, 4) == b""


def test_what_is_forgotten_cannot_be_read():
    scrollback = Scrollback(2)
    scrollback.append(b"abc")
    with pytest.raises(ValueError, match="forgotten"):
        scrollback.read(0, 1)


def test_a_replay_begins_with_a_whole_line():
    scrollback = Scrollback(10)
    scrollback.append(b"first\nsecond\nthird")
    assert scrollback.read(scrollback.replay_start(), 10) == b"third"
    scrollback = Scrollback(10)
    scrollback.append(b"first\n")
    assert scrollback.replay_start() == 0
