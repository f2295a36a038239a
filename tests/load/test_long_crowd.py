"""Thousands of livelessons booting at once, as promised; by `make load`."""

from __future__ import annotations

import pytest

from tests.load.bench.crowd import READY_SECONDS, boot_crowd
from tests.load.bench.scale import FULL

pytestmark = [pytest.mark.load, pytest.mark.slow]


@pytest.mark.timeout(1200)
def test_thousands_become_ready_and_nothing_piles_up():
    crowd = boot_crowd(number=FULL.crowd, boot_seconds=FULL.crowd_boot_seconds, say=print)

    last = crowd.samples[-1]
    assert last.states == {"READY": FULL.crowd}
    assert last.queue == 0
    assert crowd.ended is not None
    assert crowd.ended - crowd.posted <= READY_SECONDS
