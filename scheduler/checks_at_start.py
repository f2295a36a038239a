"""What types cannot say about the scheduler's settings."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from scheduler.backends.registry import current_backend


@register()
def backend_can_be_loaded(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Name a backend that cannot be imported before anything is asked of it."""
    try:
        current_backend()
    except (ImportError, ValueError) as exc:
        return [
            Error(
                f"SYRINGE_BACKEND={settings.SYRINGE_BACKEND} cannot be loaded: {exc}",
                hint="Use scheduler.backends.local.LocalBackend or another backend's dotted path.",
                id="scheduler.E001",
            )
        ]
    return []
