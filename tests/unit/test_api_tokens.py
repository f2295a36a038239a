"""Tokens for terminals and web pages: what they open, for how long, and that nothing else does."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livelessons.presentation_tokens import (
    PresentationGrant,
    PresentationTokenRefused,
    presentation_grant,
    presentation_token,
)
from livelessons.terminal_tokens import (
    LIFETIME,
    TerminalGrant,
    TerminalTokenRefused,
    terminal_grant,
    terminal_token,
)

LESSON = UUID("0a0b0c0d-0000-4000-8000-00000000000f")
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=6)


def page_token(**changes):
    arguments = {
        "live_lesson_id": LESSON,
        "endpoint": "web1",
        "presentation": "page",
        "expires_at": LATER,
    }
    return presentation_token(**(arguments | changes))


def shell_token(**changes):
    arguments = {"live_lesson_id": LESSON, "endpoint": "linux1", "ports": [22], "now": NOW}
    return terminal_token(**(arguments | changes))


def test_a_page_token_is_read_back_and_always_the_same():
    assert presentation_grant(page_token(), now=NOW) == PresentationGrant(
        LESSON, "web1", "page", LATER
    )
    assert page_token() == page_token()


def test_a_terminal_token_is_read_back():
    token = shell_token(ports=[22, 2222])

    assert terminal_grant(token, now=NOW) == TerminalGrant(
        LESSON, "linux1", (22, 2222), NOW + LIFETIME
    )


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "web2"},
        {"presentation": "pages"},
        {"endpoint": "web1p", "presentation": "age"},
        {"live_lesson_id": UUID(int=1)},
        {"expires_at": LATER + timedelta(seconds=1)},
    ],
)
def test_page_tokens_differ_in_everything_they_say(change):
    assert page_token(**change) != page_token()


def test_tokens_end():
    assert presentation_grant(page_token(), now=LATER - timedelta(seconds=1))
    with pytest.raises(PresentationTokenRefused):
        presentation_grant(page_token(), now=LATER)

    assert terminal_grant(shell_token(), now=NOW + LIFETIME - timedelta(seconds=1))
    with pytest.raises(TerminalTokenRefused):
        terminal_grant(shell_token(), now=NOW + LIFETIME)


def test_tokens_of_one_kind_are_none_of_the_other():
    with pytest.raises(TerminalTokenRefused):
        terminal_grant(page_token(), now=NOW)
    with pytest.raises(PresentationTokenRefused):
        presentation_grant(shell_token(), now=NOW)


def test_every_changed_character_is_refused():
    token = page_token()
    for place, character in enumerate(token):
        changed = token[:place] + ("A" if character != "A" else "B") + token[place + 1 :]
        with pytest.raises(PresentationTokenRefused):
            presentation_grant(changed, now=NOW)


def test_tokens_are_safe_in_a_path():
    assert set(page_token(endpoint="Ünïcode") + shell_token()) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


def test_another_key_refuses(settings):
    token = page_token()
    settings.SECRET_KEY = "another key of this installation, long enough"

    with pytest.raises(PresentationTokenRefused):
        presentation_grant(token, now=NOW)


@given(st.text(max_size=200))
def test_no_text_crashes(text):
    with pytest.raises(PresentationTokenRefused):
        presentation_grant(text, now=NOW)
    with pytest.raises(TerminalTokenRefused):
        terminal_grant(text, now=NOW)
