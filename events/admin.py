"""What happened, and what of it was told to others."""

from django.contrib import admin
from django.utils.safestring import SafeString

from events.models import OutboxEvent
from syringe_project.administration import ReadOnlyAdmin, masked_json


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    list_display = ["id", "type", "subject", "occurred_at", "published_at"]
    list_filter = ["type", ("published_at", admin.EmptyFieldListFilter)]
    search_fields = ["subject"]
    ordering = ["-id"]
    fields = ["id", "type", "subject", "content", "occurred_at", "published_at"]
    readonly_fields = ["content"]

    @admin.display(description="data")
    def content(self, event: OutboxEvent) -> SafeString | str:
        return masked_json(event.data)
