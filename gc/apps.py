from django.apps import AppConfig


class GarbageCollectorConfig(AppConfig):
    name = "garbage_collector"
    label = "gc"
    verbose_name = "garbage collection"
