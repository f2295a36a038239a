"""The checker as a service: a worker of its own queue, fed by beat, killed and replaced."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.curricula import SAMPLE
from tests.ssh_endpoint import SshEndpoint
from tests.stack import FAKE, LOCAL, Stack
from tests.waiting import PATIENCE, wait_until

LESSON = """\
name: Checked
slug: checked
category: fundamentals
tier: prod
description: A lesson with objectives.
shortDescription: Checked
endpoints:
  - name: linux
    image: utility
    presentations: [{name: terminal, port: 22, type: ssh}]
stages:
  - description: One
    completeMessage: All done.
    objectives:
      - slug: slow
        description: Be patient.
        check: {run: "date >> begun; test ! -e slow || sleep 3600; test -e slow.done", timeout: 2}
      - slug: made
        description: Make something.
        check: {run: "test -e made.txt || { echo Nothing yet.; exit 1; }; cat made.txt"}
      - slug: after
        description: Read what was made.
        needs: [made]
        check: {output: {command: 'echo "It is $OBJECTIVE_MADE."', matches: "^It is .+"}}
"""


@pytest.fixture(scope="module")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "curriculum"
    shutil.copytree(SAMPLE, folder)
    (folder / "lessons" / "checked" / "stage0").mkdir(parents=True)
    (folder / "lessons" / "checked" / "stage0" / "guide.md").write_text("# Do it\n")
    (folder / "lessons" / "checked" / "lesson.meta.yaml").write_text(LESSON)
    return folder


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshEndpoint]:
    with SshEndpoint(tmp_path) as endpoint:
        yield endpoint


class Learner:
    """Somebody who takes a lesson through the front door."""

    def __init__(self, stack: Stack, slug: str) -> None:
        self._client = httpx.Client(base_url=stack.url, timeout=PATIENCE)
        secret = self._client.post("/api/v1/sessions", json={}).json()["secret"]
        self._client.headers["Authorization"] = f"Bearer {secret}"
        self.id = self._client.post("/api/v1/livelessons", json={"lesson": slug}).json()["id"]
        wait_until(lambda: self.look()["state"] == "READY", what="READY")

    def close(self) -> None:
        self._client.close()

    def look(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.get(f"/api/v1/livelessons/{self.id}").json()
        return answer

    @property
    def objectives(self) -> dict[str, dict[str, Any]]:
        return {item["slug"]: item for item in self.look()["objectives"]["items"]}

    def end(self) -> None:
        self._client.delete(f"/api/v1/livelessons/{self.id}").raise_for_status()


@pytest.fixture
def taking() -> Iterator[Any]:
    learners: list[Learner] = []

    def take(stack: Stack, slug: str) -> Learner:
        learners.append(Learner(stack, slug))
        return learners[-1]

    yield take
    for learner in learners:
        learner.close()


def test_checkers_come_and_go(curriculum, ssh, taking):
    env = {"SYRINGE_FAKE_SCRIPT": json.dumps({"address": f"127.0.0.1:{ssh.port}"})}
    with (
        Stack(backend=FAKE, env=env, objectives=1, without={"gc", "objectives-1"}) as stack,
        redis.Redis.from_url(stack.env["SYRINGE_REDIS_URL"]) as client,
    ):
        stack.manage("import_curriculum", str(curriculum))
        learner = taking(stack, "checked")
        assert learner.look()["objectives"]["checking"] is False
        assert {item["state"] for item in learner.objectives.values()} == {"waiting"}

        (ssh.home / "slow").touch()
        stack.start("objectives-1")
        wait_until(
            lambda: learner.objectives["made"]["message"] == "Nothing yet.",
            what="the first result",
        )  # fmt: skip
        assert learner.look()["objectives"]["checking"] is True

        begun = (ssh.home / "begun").read_text
        wait_until(lambda: (ssh.home / "begun").exists() and begun(), what="a check")
        stack.kill("objectives-1", signal.SIGKILL)
        (ssh.home / "slow").unlink()
        (ssh.home / "slow.done").touch()
        (ssh.home / "made.txt").write_text("a 'bridge'\n")
        stack.start("objectives-1")
        wait_until(lambda: learner.look()["objectives"]["complete"], what="completion")

        found = learner.look()["objectives"]
        assert found["summary"] == "3 of 3"
        assert found["complete_message"] == "All done."
        assert learner.objectives["after"]["message"] == "It is a 'bridge'."

        stack.kill("objectives-1", signal.SIGTERM)
        assert learner.look()["objectives"]["checking"] is False
        wait_until(
            lambda: not client.exists(f"{stack.instance}:served:objectives.check"),
            what="beat's notice that nobody checks",
        )  # fmt: skip
        client.delete(f"{stack.instance}:objectives")
        # Beat goes on with what must be served; a worker would take the sign of it away.
        stack.kill("worker-1", signal.SIGTERM)
        client.delete(f"{stack.instance}:waiting:scheduler.sweep")
        wait_until(
            lambda: client.exists(f"{stack.instance}:waiting:scheduler.sweep"),
            what="a sweep",
        )  # fmt: skip
        assert client.llen(f"{stack.instance}:objectives") == 0


@pytest.mark.local_backend
def test_a_real_lesson_notices_what_its_learner_does(curriculum, taking):
    with Stack(backend=LOCAL, objectives=1, without={"gc"}) as stack:
        stack.manage("import_curriculum", str(curriculum))
        learner = taking(stack, "checked")
        wait_until(
            lambda: learner.objectives["made"]["message"] == "Nothing yet.",
            what="the first result",
        )  # fmt: skip
        assert learner.objectives["after"]["state"] == "waiting"

        stack.python(DEED.format(id=learner.id))
        wait_until(lambda: learner.look()["objectives"]["complete"], what="completion")

        assert learner.objectives["after"]["message"] == "It is a bridge."
        learner.end()
        wait_until(lambda: learner.look()["state"] == "DELETED", what="the end")
        assert learner.objectives["made"]["state"] == "passed"


DEED = """
import asyncio
import asyncssh
import django
django.setup()
from livelessons.models import LiveLesson
from scheduler.backends.registry import current_backend
from scheduler.environments import environment_spec

live_lesson = LiveLesson.objects.get(pk="{id}")
endpoint = live_lesson.endpoints.get()
login = current_backend().login(environment_spec(live_lesson), "linux")

async def act():
    async with asyncssh.connect(
        endpoint.host, endpoint.ports["22"], username=login.username, password=login.password,
        known_hosts=None, client_keys=None, agent_path=None, config=None,
    ) as connection:
        await connection.run("echo a bridge > made.txt; touch slow.done", check=True)

asyncio.run(act())
"""
