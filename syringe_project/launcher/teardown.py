"""End the lessons' environments that are processes of this machine, when ``make up`` stops.

The database keeps the wish: at the next start, livelessons that still have time get a fresh
environment.
"""

import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syringe_project.settings")
django.setup()

from scheduler.backends.registry import current_backend  # noqa: E402  (needs the set-up above)

_LIMIT_SECONDS = 20
_POLL_SECONDS = 0.1


def main() -> int:
    """Destroy everything of this instance and wait until it is gone."""
    backend = current_backend()
    if not backend.on_this_machine:
        return 0
    give_up_at = time.monotonic() + _LIMIT_SECONDS
    while left := list(backend.owned()):
        if time.monotonic() > give_up_at:
            sys.stderr.write("still there: " + ", ".join(ref.name for ref in left) + "\n")
            return 1
        for ref in left:
            backend.destroy(ref)
        time.sleep(_POLL_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
