"""Lessons as sandboxes on this machine; ``supervisor`` tells how one livelesson is built.

The supervisor's processes import modules of this package without Django, so nothing is imported
here until somebody asks for the backend.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduler.backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]


def __getattr__(name: str) -> Any:
    if name == "LocalBackend":
        from scheduler.backends.local.backend import LocalBackend

        return LocalBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
