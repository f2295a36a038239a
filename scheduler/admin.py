"""The fake backend's environments, for whoever tries things out with it."""

from django.contrib import admin

from scheduler.models import FakeEnvironment
from syringe_project.administration import ReadOnlyAdmin


@admin.register(FakeEnvironment)
class FakeEnvironmentAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "instance", "created_at", "deleting_at"]
    list_filter = ["instance", ("deleting_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "slug"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
