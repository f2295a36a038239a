"""The outbox: what happened, written in the transaction in which it happened."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class OutboxEvent(models.Model):
    """One event of ``events.catalogue``, to be told to others in the order of the ids."""

    id = models.BigAutoField(primary_key=True)
    type = models.CharField(max_length=100)
    subject = models.CharField(max_length=200, help_text="What it happened to.")
    data = models.JSONField()
    occurred_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "event"
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["id"], condition=Q(published_at__isnull=True), name="event_unpublished"
            ),
            models.Index(fields=["occurred_at"], name="event_occurred"),
        ]

    def __str__(self) -> str:
        return f"{self.type} of {self.subject}"
