"""kill -9 at every named failpoint: whatever was half done is finished by those who come after."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from scheduler.failpoints import Failpoint
from tests.chaos.conftest import QUICK, UNNEEDED
from tests.chaos.learner import ChaosLearner, prepare
from tests.stack import FAKE, Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("failpoints")]

BY_SWEEP = {Failpoint.SWEEP_CLAIMED, Failpoint.SWEEP_ENQUEUED}


@pytest.fixture(scope="module")
def stack(slow_script: str) -> Iterator[Stack]:
    env = {**QUICK, "SYRINGE_FAKE_SCRIPT": slow_script}
    with Stack(backend=FAKE, env=env, without=UNNEEDED) as stack:
        prepare(stack)
        yield stack


@pytest.mark.parametrize("name", Failpoint)
def test_a_kill_there_loses_nothing(stack, tmp_path, name):
    marker = tmp_path / "killed"
    victim = "web" if name == Failpoint.WISH_COMMITTED else "worker-1"
    stack.restart(victim, env={"SYRINGE_FAILPOINT": f"{name}@{marker}"})
    learner = ChaosLearner(stack)

    try:
        learner.start()
    except httpx.HTTPError:
        assert victim == "web"

    def killed() -> bool:
        if name in BY_SWEEP:
            # Messages and timers are quicker than the sweep, which may find nothing to do.
            learner.be_due()
        return marker.exists()

    wait_until(killed, what=f"the kill at {name}")
    if victim != "web":
        # gunicorn replaces a dead worker by itself; ours are replaced by their supervisor.
        assert stack.wait_exit(victim) == -9
        stack.start(victim)

    live_lesson = learner.wait_for("READY")
    assert len(learner.states()) == 1
    assert learner.strangers() == []
    answer = learner.http.post(f"/livelessons/{live_lesson}/stage", json={"stage": 1})
    assert answer.status_code < 300
    learner.wait_for("READY")
    assert learner.http.delete(f"/livelessons/{live_lesson}").status_code < 300
    learner.wait_for("DELETED")
    assert learner.strangers() == []
    learner.close()
