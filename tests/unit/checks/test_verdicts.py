"""Messages: what learners see of what a check printed."""

import pytest

from scheduler.checks.verdicts import last_line


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", ""),
        ("\n \n\t\n", ""),
        ("one\ntwo\n", "two"),
        ("one\r\ntwo\r\n\r\n", "two"),
        ("10%\r50%\rdone", "done"),
        ("\x1b[1;31mNot\x1b[0m yet\x1b[K", "Not yet"),
        ("\x1b]0;a title\x07Not yet", "Not yet"),
        ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(BNot\x1b7 yet\x1bc", "Not yet"),
        ("a\tb\x00c\x07\x7f", "a bc"),
        ("right\u202eleft\u200b", "rightleft"),
        ("a\xa0b\u2003c", "a b c"),
        ("Grüße, 世界 🎉", "Grüße, 世界 🎉"),
        ("x" * 700, "x" * 500),
        ("x" * 499 + "  y", "x" * 499),
        ("before\x1b[", "before"),
    ],
)
def test_the_last_line_is_fit_to_be_shown(output, message):
    assert last_line(output) == message
