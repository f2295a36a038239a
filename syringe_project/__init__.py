"""The project: settings, processes and what every app shares."""

from syringe_project.celery import app as celery_app

__all__ = ["celery_app"]
