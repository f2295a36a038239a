"""The Celery application; its settings are read when they are first needed."""

import os
from typing import Any

from celery import Celery
from celery.signals import heartbeat_sent

from syringe_project.environment import touch_heartbeat_file

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syringe_project.settings")

app = Celery("syringe")
app.config_from_object("syringe_project.celery_settings")
app.autodiscover_tasks(["scheduler", "scheduler.checks", "garbage_collector"])


@heartbeat_sent.connect
def _worker_lives(**kwargs: Any) -> None:
    touch_heartbeat_file()
