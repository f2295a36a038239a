"""Where a request comes from, whatever its headers claim."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from livelessons.source_address import UNKNOWN, request_source_address, source_address
from syringe_project.environment import Environment

PROXIES = ["10.0.0.0/8", "fd00::/8", "unix"]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "proxies", "expected"),
    [
        ("192.0.2.1", "", [], "192.0.2.1"),
        ("192.0.2.1", "9.9.9.9", [], "192.0.2.1"),
        ("192.0.2.1", "9.9.9.9", PROXIES, "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1", PROXIES, "192.0.2.1"),
        ("10.0.0.1", "9.9.9.9, 192.0.2.1", PROXIES, "192.0.2.1"),
        ("10.0.0.1", "9.9.9.9, 192.0.2.1, 10.0.0.2", PROXIES, "192.0.2.1"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", PROXIES, "10.0.0.3"),
        ("10.0.0.1", "", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "9.9.9.9, rubbish", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "rubbish, 10.0.0.2", PROXIES, "10.0.0.2"),
        ("10.0.0.1", "9.9.9.9,", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1:4711", PROXIES, "192.0.2.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", PROXIES, "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", PROXIES, "2001:db8::1"),
        ("10.0.0.1", "::ffff:192.0.2.1", PROXIES, "192.0.2.1"),
        ("::ffff:10.0.0.1", "192.0.2.1", PROXIES, "192.0.2.1"),
        ("fd00::1", "192.0.2.1", PROXIES, "192.0.2.1"),
        ("", "192.0.2.1", PROXIES, "192.0.2.1"),
        ("", "192.0.2.1", ["10.0.0.0/8"], UNKNOWN),
        ("", "", PROXIES, UNKNOWN),
        ("fe80::1%eth0", "", [], "fe80::1"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_of_ours(peer, forwarded_for, proxies, expected):
    assert source_address(peer=peer, forwarded_for=forwarded_for, proxies=proxies) == expected


@given(st.text(st.characters(codec="latin-1"), max_size=300))
def test_what_a_learner_writes_into_the_header_changes_nothing(forged):
    through_a_proxy = source_address(
        peer="10.0.0.1", forwarded_for=f"{forged}, 192.0.2.1", proxies=PROXIES
    )
    without = source_address(peer="192.0.2.1", forwarded_for=forged, proxies=PROXIES)

    assert through_a_proxy == without == "192.0.2.1"


@given(st.text(max_size=200), st.text(max_size=300))
def test_it_is_always_an_address(peer, forwarded_for):
    assert ip_address(source_address(peer=peer, forwarded_for=forwarded_for, proxies=PROXIES))


def test_a_request_is_read_by_the_settings(rf, settings):
    request = rf.get("/", headers={"X-Forwarded-For": "198.51.100.7"}, REMOTE_ADDR="10.0.0.1")

    settings.SYRINGE_TRUSTED_PROXIES = []
    assert request_source_address(request) == "10.0.0.1"
    settings.SYRINGE_TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert request_source_address(request) == "198.51.100.7"


def test_a_proxy_that_is_no_network_stops_the_boot():
    assert Environment(trusted_proxies="10.0.0.0/8, unix,::1")
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Environment(trusted_proxies="10.0.0.0/8,proxy.example.org")
