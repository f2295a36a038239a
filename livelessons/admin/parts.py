"""Endpoints, locks and history in lists of their own, across all livelessons."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from lessons.specs import stage_objectives
from livelessons.admin import actions
from livelessons.admin.actions import holder_of
from livelessons.admin.filters import LockExpiredFilter, ReasonFilter
from livelessons.admin.live_lessons import LARGE_COLUMNS
from livelessons.models import (
    Checker,
    LiveEndpoint,
    LiveLesson,
    LiveLessonChange,
    LiveLessonLock,
    LiveObjective,
)
from syringe_project.administration import ReadOnlyAdmin, page_link, preformatted


class _PartOfLiveLessonAdmin(ReadOnlyAdmin):
    """Rows of a livelesson in a list of their own, joined to it."""

    uuid_search_fields = ["live_lesson_id", "live_lesson__session_id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        rows = super().get_queryset(request).select_related("live_lesson")
        return rows.defer(*(f"live_lesson__{name}" for name in LARGE_COLUMNS))

    @admin.display(description="livelesson", ordering="live_lesson")
    def of(self, row: Any) -> SafeString:
        return page_link(LiveLesson, row.live_lesson_id, row.live_lesson)


@admin.register(LiveEndpoint)
class LiveEndpointAdmin(_PartOfLiveLessonAdmin):
    list_display = ["name", "of", "phase", "reachable", "reason_code", "host", "attempt"]
    list_filter = ["reachable", "live_lesson__state"]
    search_fields = ["name", "host", "live_lesson__slug"]
    ordering = ["-id"]
    fields = [
        "of",
        "name",
        "phase",
        "reachable",
        "reason_code",
        "message",
        "host",
        "ports",
        "attempt",
        "log",
    ]
    readonly_fields = ["of", "log"]

    @admin.display(description="log tail")
    def log(self, endpoint: LiveEndpoint) -> SafeString | str:
        return preformatted(endpoint.log_tail)


@admin.register(LiveObjective)
class LiveObjectiveAdmin(_PartOfLiveLessonAdmin):
    list_display = [
        "slug",
        "of",
        "stage",
        "state",
        "attempts",
        "errors",
        "checked_at",
        "next_check_at",
        "checker",
        "endpoint",
    ]
    list_filter = ["state", "level", ("claim", admin.EmptyFieldListFilter)]
    search_fields = ["slug", "checker", "live_lesson__slug"]
    ordering = ["-id"]
    fields = [
        "of",
        "stage",
        "slug",
        "endpoint",
        "level",
        "needs",
        "state",
        "message",
        "output",
        "attempts",
        "failures",
        "errors",
        "opened_at",
        "checked_at",
        "passed_at",
        "unanswered_at",
        "next_check_at",
        "pause_seconds",
        "interval_seconds",
        "timeout_seconds",
        "wishes",
        "answered",
        "checker",
        "claimed_until",
    ]
    readonly_fields = ["of", "endpoint", "output"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        return super().get_queryset(request).defer(None).defer("live_lesson__log_tail")

    @admin.display
    def endpoint(self, objective: LiveObjective) -> str:
        """Return where it is checked, as the author said."""
        for definition in stage_objectives(objective.live_lesson.spec, objective.stage):
            if definition["slug"] == objective.slug:
                return definition["check"]["endpoint"]
        return "-"

    @admin.display(description="output")
    def output(self, objective: LiveObjective) -> SafeString | str:
        return preformatted(objective.detail)


@admin.register(Checker)
class CheckerAdmin(ReadOnlyAdmin):
    list_display = ["name", "seen_at"]
    search_fields = ["name"]
    ordering = ["-seen_at"]


@admin.register(LiveLessonLock)
class LiveLessonLockAdmin(_PartOfLiveLessonAdmin):
    list_display = ["of", "action", "holder", "state", "created_at", "expires_at"]
    list_filter = ["action", LockExpiredFilter, "live_lesson__state"]
    search_fields = ["holder", "live_lesson__slug"]
    date_hierarchy = "created_at"
    ordering = ["expires_at"]
    fields = ["of", "action", "holder", "state", "created_at", "expires_at"]
    readonly_fields = ["of", "state"]
    actions = ["break_lock"]

    @admin.display(ordering="live_lesson__state")
    def state(self, lock: LiveLessonLock) -> str:
        return lock.live_lesson.state

    @admin.action(description="Break the lock", permissions=["change"])
    def break_lock(self, request: HttpRequest, queryset: QuerySet[LiveLessonLock]) -> None:
        def act(lock: LiveLessonLock) -> str:
            return actions.break_lock(lock.live_lesson, holder=holder_of(request))

        self.act_on_each(request, queryset, act)


@admin.register(LiveLessonChange)
class LiveLessonChangeAdmin(_PartOfLiveLessonAdmin):
    """The history of all livelessons, by id: the table is the largest, and its times follow it."""

    list_display = ["at", "of", "state", "stage", "attempt", "reason_code", "reason"]
    list_filter = ["state", ReasonFilter]
    search_fields = ["live_lesson__slug", "reason"]
    ordering = ["-id"]
    fields = ["of", "at", "state", "stage", "attempt", "reason_code", "reason"]
    readonly_fields = ["of"]
