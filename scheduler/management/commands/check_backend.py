from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scheduler.backends.registry import current_backend


class Command(BaseCommand):
    """Say whether lessons can run, and what to do where they cannot."""

    help = (
        "Check that the backend can run lessons: that a cluster can be reached and grants its "
        "rights, and that what the settings name exists there; or that this machine can build "
        "sandboxes. Exits with an error, one sentence for each problem."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        backend = current_backend()
        if problems := backend.preflight():
            raise CommandError("\n".join(problems))
        self.stdout.write(f"The backend {backend.label} can run lessons.")
