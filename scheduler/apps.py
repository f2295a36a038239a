from django.apps import AppConfig


class SchedulerConfig(AppConfig):
    name = "scheduler"

    def ready(self) -> None:
        # Imported for their registrations: signal receivers and system checks.
        from scheduler import checks_at_start, periodic, worker_start  # noqa: F401
