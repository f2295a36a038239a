"""Two instances on one Redis and one machine: nothing that one says or keeps is the other's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import redis

from tests.servers import OwnServer
from tests.stack import ROOT

PROGRAM = """
import json, sys
from uuid import UUID
import django
django.setup()
import redis
from celery.beat import Service
from celery.contrib.testing.worker import start_worker
from celery.signals import beat_init
from django.conf import settings
from django.core.cache import cache
from livelessons.wakeups import CHANNEL, wake
from scheduler.beat import SingleMessageScheduler
from scheduler.messages import CHECK_OBJECTIVES, enqueue_reconcile
from scheduler.periodic import note_consumer
from syringe_project.celery import app

own = UUID(sys.argv[1])

def say(**words):
    print(json.dumps(words), flush=True)

def wait_for_the_other():
    sys.stdin.readline()

heard = redis.Redis.from_url(settings.SYRINGE_REDIS_URL).pubsub(ignore_subscribe_messages=True)
heard.subscribe(CHANNEL)
heard.get_message(timeout=5)
cache.set("one", "value")
# A queue of its own, so that what waits in the others can be seen.
with start_worker(app, perform_ping_check=False, queues=["idle"], hostname=f"w@{own}"):
    beat = Service(app, scheduler_cls=SingleMessageScheduler)
    # Waits for the lock as long as somebody else holds it.
    beat_init.send(sender=beat)
    say(ready=True)
    wait_for_the_other()
    beat.scheduler.tick()
    note_consumer(CHECK_OBJECTIVES)
    enqueue_reconcile([own])
    wake(own)
    pinged = set()
    while f"w@{own}" not in pinged:
        pinged.update(name for answer in app.control.ping(timeout=1) for name in answer)
    say(pinged=list(pinged), folder=str(settings.SYRINGE_INSTANCE_FOLDER))
    wait_for_the_other()
    messages = iter(lambda: heard.get_message(timeout=0.5), None)
    say(heard=[message["data"].decode() for message in messages])
    wait_for_the_other()
"""


class Instance:
    """Web, worker and beat of an instance in one process, as far as they use Redis."""

    def __init__(self, name: str, redis_url: str) -> None:
        self.own = str(uuid4())
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, self.own],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "syringe_project.settings",
                "SYRINGE_INSTANCE": name,
                "SYRINGE_REDIS_URL": redis_url,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Instance:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def hear(self) -> dict[str, Any]:
        """Return what it says next."""
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def go_on(self) -> None:
        """Let it go on, now that the other has come as far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


def test_two_instances_on_one_redis_do_not_meet() -> None:
    # One name begins with the other.
    names = ("lab", "lab-2")
    with ExitStack() as exits:
        server = exits.enter_context(OwnServer("redis"))
        both = [exits.enter_context(Instance(name, server.url)) for name in names]
        ready = [instance.hear() for instance in both]
        for instance in both:
            instance.go_on()
        met = [instance.hear() for instance in both]
        for instance in both:
            instance.go_on()
        heard = [instance.hear() for instance in both]
        client = exits.enter_context(redis.Redis.from_url(server.url, decode_responses=True))
        keys = set(client.scan_iter())
        queues = [client.lrange(f"{name}:lifecycle", 0, -1) for name in names]

    # Each has the lock of beat, and only its own worker answers and only its own news come.
    assert ready == [{"ready": True}] * 2
    assert [one["pinged"] for one in met] == [[f"w@{instance.own}"] for instance in both]
    assert [one["heard"] for one in heard] == [[instance.own] for instance in both]
    assert met[0]["folder"] != met[1]["folder"]

    kept = [{key for key in keys if key.startswith(f"{name}:")} for name in names]
    assert keys == kept[0] | kept[1]
    for name, own, waiting, instance in zip(names, kept, queues, both, strict=True):
        expected = ("lifecycle", "redbeat::lock", "redbeat::schedule", "served:objectives.check")
        assert {f"{name}:{key}" for key in expected} <= own
        wished = [
            text for text in waiting if instance.own in json.loads(text)["headers"]["argsrepr"]
        ]
        assert len(wished) == 1
