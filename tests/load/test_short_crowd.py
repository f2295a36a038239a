"""Many livelessons booting at once: every one of them arrives and no message is left."""

from __future__ import annotations

import pytest

from tests.load.bench.crowd import boot_crowd

pytestmark = pytest.mark.load


def test_a_crowd_becomes_ready_and_its_queue_drains():
    crowd = boot_crowd(number=100, boot_seconds=2, say=print, twice=True)

    for samples, ready in ((crowd.samples, 100), (crowd.later, 200)):
        assert samples[-1].states == {"READY": ready}
        assert samples[-1].queue == 0
