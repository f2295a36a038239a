"""A checker alone in a process, which goes on until it is killed."""

import signal

import django

django.setup()

from scheduler.checks import checker  # noqa: E402
from scheduler.checks.service import start_checker  # noqa: E402

# So that even a quick check is kept while it runs.
checker.BEAT_SECONDS = 0.2
start_checker("the first")
signal.pause()
