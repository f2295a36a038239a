"""The gateway process: terminals, events, presentations, and the front door to web."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syringe_project.settings")
django.setup()

from gateway.application import Gateway  # noqa: E402  (models need the set-up above)

application = Gateway()
