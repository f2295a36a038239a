"""Failures that Syringe foresees, by category.

A category decides the HTTP status, and only ``syringe_project.api`` and the ``/exp`` adapter
translate it. Everything that is not a ``SyringeError`` is a bug and should look like one.
"""

import functools
from typing import Any


class SyringeError(Exception):
    """A failure Syringe foresaw.

    ``template`` is formatted with the keyword arguments, which stay available as ``context``.
    """

    code = "syringe_error"
    template = "Syringe could not do that."

    def __init__(self, **context: object) -> None:
        super().__init__(self.template.format_map(context))
        self.context = context

    def __reduce__(self) -> tuple[Any, ...]:
        # Celery pickles exceptions between processes; the default would call cls(message).
        return functools.partial(type(self), **self.context), ()


class Invalid(SyringeError):
    """The request makes no sense as it stands."""

    code = "invalid"


class Forbidden(SyringeError):
    """The caller may not do that."""

    code = "forbidden"


class NotFound(SyringeError):
    """The thing named does not exist, or is not the caller's to see."""

    code = "not_found"


class Conflict(SyringeError):
    """The thing is in a state that does not allow that now."""

    code = "conflict"


class TooMany(SyringeError):
    """A limit is reached."""

    code = "too_many"


class Unavailable(SyringeError):
    """Something that Syringe needs cannot be used now."""

    code = "unavailable"
