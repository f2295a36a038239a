"""The project's settings, plus the bare view that requests a second are compared with."""

from syringe_project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.load.bare_urls"
