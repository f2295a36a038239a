"""Celery: JSON only, acknowledged late, one queue per service."""

from django.conf import settings

broker_url = settings.SYRINGE_REDIS_URL
# For those who consume; scheduler.messages sends with less patience. No retries anywhere.
broker_transport_options = {
    "global_keyprefix": f"{settings.SYRINGE_INSTANCE}:",
    "socket_timeout": 5,
    "socket_connect_timeout": 0.3,
    "retry_on_timeout": False,
    "max_retries": 0,
    "visibility_timeout": 60,
    "unacked_restore_interval": 5,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
task_publish_retry = False
task_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
task_acks_late = True
task_default_queue = "lifecycle"
task_routes = {
    "scheduler.*": {"queue": "lifecycle"},
    "garbage_collector.*": {"queue": "gc"},
    "objectives.*": {"queue": "objectives"},
}
worker_prefetch_multiplier = 1
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_cancel_long_running_tasks_on_connection_loss = False
timezone = "UTC"
enable_utc = True
redbeat_redis_url = settings.SYRINGE_REDIS_URL
redbeat_redis_options = {"socket_timeout": 5, "socket_connect_timeout": 2}
redbeat_key_prefix = f"{settings.SYRINGE_INSTANCE}:redbeat:"
redbeat_lock_timeout = 6
beat_max_loop_interval = 1
beat_scheduler = "scheduler.beat.SingleMessageScheduler"


def _collection(job: str, seconds: int) -> dict[str, object]:
    """Return the entry of a collection, whose message is of no use once the next one is sent."""
    return {
        "task": f"garbage_collector.{job}",
        "schedule": float(seconds),
        "options": {"expires": seconds},
    }


beat_schedule = {
    "sweep": {"task": "scheduler.sweep", "schedule": 1.0},
    "check objectives": {
        "task": "objectives.check",
        "schedule": 1.0,
        "options": {"expires": 5},
    },
    "collect idle livelessons": _collection("idle", 10),
    "collect livelessons past their lifetime": _collection("lifetime", 10),
    "collect environments": _collection("environments", 30),
    "collect locks": _collection("locks", 60),
    "collect ended livelessons": _collection("live_lessons", 900),
    "collect sessions": _collection("sessions", 900),
    "collect events": _collection("events", 900),
    "collect lessons": _collection("lessons", 900),
}
