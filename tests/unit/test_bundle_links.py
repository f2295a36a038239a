"""Addresses of bundles: what they open, for how long, and that nothing else does."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons.bundle_links import BundleLinkRefused, bundle_link_check, bundle_url
from livelessons.presentation_tokens import presentation_token
from syringe_project.signing import seal

LESSON = UUID("0a0b0c0d-0000-4000-8000-00000000000f")
SHA256 = "5e" * 32
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=24)


def make_url(**changes):
    arguments = {"sha256": SHA256, "live_lesson_id": LESSON, "expires_at": LATER}
    return bundle_url(**(arguments | changes))


def check(url, *, now=NOW):
    parts = urlsplit(url)
    bundle_link_check(sha256=parts.path.removeprefix("/bundles/"), query=parts.query, now=now)


def test_an_address_opens_its_bundle_until_it_ends(settings):
    settings.SYRINGE_BUNDLE_URL = "http://bundles.syringe:8002"
    url = make_url()

    assert url.startswith(f"http://bundles.syringe:8002/bundles/{SHA256}?signature=")
    assert url == make_url()
    check(url)
    check(url, now=LATER - timedelta(seconds=1))
    with pytest.raises(BundleLinkRefused):
        check(url, now=LATER)


@pytest.mark.parametrize(
    "change",
    [
        {"live_lesson_id": UUID(int=1)},
        {"sha256": "ff" * 32},
        {"expires_at": LATER + timedelta(seconds=1)},
    ],
)
def test_addresses_differ_in_everything_they_say(change):
    assert urlsplit(make_url(**change)).query != urlsplit(make_url()).query


def test_a_signature_opens_no_other_bundle():
    with pytest.raises(BundleLinkRefused):
        check(make_url().replace(SHA256, "ff" * 32))


def test_another_key_refuses(settings):
    url = make_url()
    settings.SECRET_KEY = "another key of this installation, long enough"

    with pytest.raises(BundleLinkRefused):
        check(url)


def test_tokens_of_another_kind_are_refused():
    page = presentation_token(
        live_lesson_id=LESSON, endpoint=SHA256, presentation="", expires_at=LATER
    )

    with pytest.raises(BundleLinkRefused):
        bundle_link_check(sha256=SHA256, query=f"signature={page}", now=NOW)


def test_a_short_message_of_our_own_is_refused():
    with pytest.raises(BundleLinkRefused):
        bundle_link_check(sha256=SHA256, query=f"signature={seal('bundle', b'')}", now=NOW)


@given(place=st.integers(0, 10_000), character=st.characters(codec="utf-8"))
def test_every_changed_character_is_refused(place, character):
    path, _, query = make_url().rpartition("/bundles/")[2].partition("?")
    text = f"{path}?{query}"
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    if changed == text:
        return
    sha256, _, query = changed.partition("?")

    with pytest.raises(BundleLinkRefused):
        bundle_link_check(sha256=sha256, query=query, now=NOW)


@given(
    query=st.text()
    | st.text(alphabet="ABCabc012-_=&%").map("signature={}".format)
    | st.sampled_from(["{}&a=1", "a=1&{}", "{}&{}", "{}=", "{}%3D", "?{}", " {}"]).map(
        lambda form: form.format(*[urlsplit(make_url()).query] * 2)
    )
)
def test_an_address_has_one_spelling(query):
    with pytest.raises(BundleLinkRefused):
        bundle_link_check(sha256=SHA256, query=query, now=NOW)
