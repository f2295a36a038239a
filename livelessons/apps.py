from django.apps import AppConfig


class LivelessonsConfig(AppConfig):
    name = "livelessons"
