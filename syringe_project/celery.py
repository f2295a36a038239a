"""The Celery application; its settings are read when they are first needed."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syringe_project.settings")

app = Celery("syringe")
app.config_from_object("syringe_project.celery_settings")
app.autodiscover_tasks(["scheduler", "garbage_collector"])
