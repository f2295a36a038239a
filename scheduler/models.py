"""What the fake backend keeps; the real ones keep nothing in our database."""

from django.db import models


class FakeEnvironment(models.Model):
    """One environment of the fake backend. ``jobs`` maps ``endpoint/run`` to its start time."""

    name = models.CharField(max_length=60, primary_key=True)
    instance = models.CharField(max_length=40)
    slug = models.CharField(max_length=100)
    endpoints = models.JSONField(default=dict)
    jobs = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    deleting_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["instance"], name="fake_environment_instance")]

    def __str__(self) -> str:
        return self.name
