"""Names: valid, short enough and never the same for two things."""

import re
from uuid import UUID, uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scheduler.backends.base import EnvironmentRef
from scheduler.backends.kubernetes.names import (
    bridge_name,
    connection_name,
    dns_label,
    ingress_name,
    is_dns_label,
    job_name,
    namespace_name,
)

RFC_1123 = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
REF = EnvironmentRef(UUID(int=0xABC), 3)

# Few letters, so that lists meet where they can.
_near = st.text(alphabet="ab1-_A", max_size=6)
_lists = st.lists(st.one_of(_near, st.text(max_size=80)), min_size=1, max_size=4)
_labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(_lists)
def test_any_list_becomes_a_label(parts: list[str]) -> None:
    assert RFC_1123.fullmatch(dns_label(*parts))


@given(_lists, _lists)
def test_two_lists_never_meet(one: list[str], other: list[str]) -> None:
    assume(one != other and len(one) == len(other))
    assert dns_label(*one) != dns_label(*other)


@given(_labels)
def test_a_label_is_its_own_name(label: str) -> None:
    assert dns_label(label) == label


@given(st.text(alphabet="ab-", min_size=1, max_size=4), st.text(alphabet="ab-", max_size=4))
def test_where_a_hyphen_stands_makes_a_difference(one: str, other: str) -> None:
    text = f"{one}-{other}"
    splits = [(text[:at], text[at + 1 :]) for at, mark in enumerate(text) if mark == "-"]

    assert len({dns_label(*split) for split in splits}) == len(splits)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("linux1",), "linux1"),
        (("vqfx-1",), "vqfx-1"),
        (("vqfx-1", "web"), "vqfx-1-web"),
        (("a-b", "c"), "a-b-c"),
        (("x" * 61, "y"), "x" * 61 + "-y"),
    ],
)
def test_readable_where_it_can_be(parts: tuple[str, ...], name: str) -> None:
    assert dns_label(*parts) == name


@pytest.mark.parametrize(
    ("parts", "start"),
    [
        (("a", "b-c"), "a-b-c-"),
        (("Linux_1",), "linux-1-"),
        (("Überfluß",), "uberflu-"),
        (("-a-",), "a-"),
        (("x" * 62, "y"), "x" * 50 + "-"),
        (("x" * 49 + "-y" * 20,), "x" * 49 + "-"),
    ],
)
def test_else_it_ends_in_a_digest(parts: tuple[str, ...], start: str) -> None:
    assert re.fullmatch(re.escape(start) + "[0-9a-f]{12}", dns_label(*parts))


def test_what_has_no_letter_is_a_digest_alone() -> None:
    assert re.fullmatch("[0-9a-f]{12}", dns_label("漢字"))
    assert dns_label("漢字") != dns_label("漢", "字") != dns_label("")


def test_what_looks_like_a_digest_does_not_pass_for_one() -> None:
    shortened = dns_label("a", "b-c")

    assert dns_label("a-b-c", shortened.rpartition("-")[2]) != shortened


def test_truncation_keeps_names_apart() -> None:
    names = {dns_label("x" * 200 + str(number)) for number in range(500)}

    assert len(names) == 500
    assert all(len(name) == 63 for name in names)


def test_a_namespace_names_instance_livelesson_and_attempt() -> None:
    assert namespace_name("lab-2", REF) == f"lab-2-{REF.live_lesson_id.hex}-3"


def test_long_instance_names_keep_namespaces_apart() -> None:
    longest = "an-instance-with-a-name-of-40-characters"
    ids = [uuid4() for _ in range(50)]
    names = {
        namespace_name(instance, EnvironmentRef(live_lesson_id, attempt))
        for instance in (longest, longest[:-1] + "z", longest[:30])
        for live_lesson_id in ids
        for attempt in (1, 11, 999_999)
    }

    assert len(names) == 3 * 50 * 3
    assert all(map(is_dns_label, names))


def test_names_within_an_environment_keep_apart() -> None:
    assert ingress_name("vqfx-1", "web") != ingress_name("vqfx", "1-web")
    assert job_name("vqfx-1", 2) != job_name("vqfx", 12) != job_name("vqfx", 2)
    assert connection_name(0, "a", "b") != connection_name(1, "a", "b")
    assert is_dns_label(job_name("e" * 63, 123_456))
    assert is_dns_label(connection_name(255, "e" * 63, "f" * 63))


def test_a_bridge_fits_into_what_linux_allows() -> None:
    names = {bridge_name("ns", connection_name(index, "a", "b")) for index in range(100)}

    assert len(names) == 100
    assert all(re.fullmatch("[a-z][a-z0-9]{1,14}", name) for name in names)
    assert bridge_name("ns", "a-b-0") != bridge_name("other", "a-b-0")
