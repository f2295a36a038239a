"""Which backend this process uses."""

from functools import cache
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from scheduler.backends.base import RuntimeBackend


@cache
def _load(path: str) -> RuntimeBackend:
    return cast("RuntimeBackend", import_string(path)())


def current_backend() -> RuntimeBackend:
    """Return the process's one instance of the class that ``SYRINGE_BACKEND`` names."""
    return _load(settings.SYRINGE_BACKEND)
