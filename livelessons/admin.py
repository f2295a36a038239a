"""What is running, for operators: to look at in full and to act on through the services."""

from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

from lessons.models import Lesson
from livelessons import admin_actions
from livelessons.admin_filters import (
    ActionRunningFilter,
    InUseFilter,
    LockExpiredFilter,
    ReasonFilter,
)
from livelessons.errors import IdentityTaken
from livelessons.models import (
    ExternalIdentity,
    Learner,
    LiveEndpoint,
    LiveLesson,
    LiveLessonChange,
    LiveLessonLock,
    LiveSession,
)
from livelessons.services import learner_link
from livelessons.states import LIVE
from syringe_project.administration import (
    AnyModelAdmin,
    AnyModelForm,
    AnyTabularInline,
    BoundedPaginator,
    ReadOnlyAdmin,
    ReadOnlyInline,
    masked_json,
    page_link,
    preformatted,
    row_count,
)

_LARGE = ("spec", "log_tail", "reason")
"""Columns of a livelesson that lists do without."""


def holder_of(request: HttpRequest) -> str:
    """Return what an action's lock says of the operator who asked for it."""
    return f"operator {request.user.get_username()}"


class IdentityInline(AnyTabularInline):
    model = ExternalIdentity
    extra = 1
    fields = ["provider", "subject", "created_at"]
    readonly_fields = ["created_at"]


@admin.register(Learner)
class LearnerAdmin(AnyModelAdmin):
    paginator = BoundedPaginator
    show_full_result_count = False
    list_display = ["__str__", "known_as", "session_count", "created_at"]
    list_filter = ["identities__provider"]
    search_fields = ["display_name", "identities__subject"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    fields = ["display_name", "id", "sessions", "created_at"]
    readonly_fields = ["id", "sessions", "created_at"]
    inlines = [IdentityInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Learner]:
        learners: QuerySet[Learner] = super().get_queryset(request)
        session_count = row_count(LiveSession.objects.all(), "learner")
        return learners.annotate(session_count=session_count).prefetch_related("identities")

    @admin.display
    def known_as(self, learner: Learner) -> str:
        return ", ".join(str(identity) for identity in learner.identities.all())

    @admin.display(description="sessions", ordering="session_count")
    def session_count(self, learner: Any) -> int:
        return int(learner.session_count)

    @admin.display
    def sessions(self, learner: Learner) -> SafeString:
        address = reverse("admin:livelessons_livesession_changelist")
        return format_html('<a href="{}?learner={}">List</a>', address, learner.pk)


@admin.register(ExternalIdentity)
class ExternalIdentityAdmin(AnyModelAdmin):
    paginator = BoundedPaginator
    show_full_result_count = False
    list_display = ["subject", "provider", "learner", "created_at"]
    list_filter = ["provider"]
    list_select_related = ["learner"]
    search_fields = ["subject", "provider", "learner__display_name"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    autocomplete_fields = ["learner"]


class LiveSessionForm(AnyModelForm):
    """Says who the session's learner is; the session itself is not edited."""

    provider = forms.CharField(max_length=100, required=False)
    subject = forms.CharField(max_length=255, required=False)
    display_name = forms.CharField(max_length=200, required=False)

    class Meta:
        model = LiveSession
        fields: ClassVar[list[str]] = []

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if bool(values.get("provider")) != bool(values.get("subject")):
            raise forms.ValidationError("An identity is a provider and a subject.")
        return values


@admin.register(LiveSession)
class LiveSessionAdmin(ReadOnlyAdmin):
    form = LiveSessionForm
    list_display = [
        "id",
        "source_address",
        "learner",
        "persistent",
        "running",
        "last_seen_at",
        "created_at",
    ]
    list_filter = [
        "persistent",
        InUseFilter,
        ("learner", admin.EmptyFieldListFilter),
        "last_seen_at",
    ]
    list_select_related = ["learner"]
    search_fields = ["source_address", "learner__display_name", "learner__identities__subject"]
    uuid_search_fields = ["id", "learner_id"]
    date_hierarchy = "last_seen_at"
    ordering = ["-last_seen_at"]
    actions = ["persist", "unpersist", "end_livelessons"]
    readonly_fields = [
        "id",
        "source_address",
        "learner",
        "persistent",
        "running",
        "last_seen_at",
        "created_at",
    ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return AnyModelAdmin.has_change_permission(self, request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LiveSession]:
        sessions: QuerySet[LiveSession] = super().get_queryset(request)
        living = LiveLesson.objects.filter(state__in=sorted(LIVE))
        return sessions.annotate(running_count=row_count(living, "session"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets: list[Any] = [(None, {"fields": self.readonly_fields})]
        if self.has_change_permission(request, obj):
            link = {"fields": ["provider", "subject", "display_name"]}
            fieldsets.append(("Link to a learner", link))
        return fieldsets

    def save_model(
        self, request: HttpRequest, obj: LiveSession, form: LiveSessionForm, change: bool
    ) -> None:
        if form.cleaned_data["provider"]:
            learner_link(
                session=obj,
                provider=form.cleaned_data["provider"],
                subject=form.cleaned_data["subject"],
                display_name=form.cleaned_data["display_name"],
            )

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IdentityTaken as exc:
            self.message_user(request, str(exc), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    @admin.display(description="livelessons running", ordering="running_count")
    def running(self, session: Any) -> int:
        return int(session.running_count)

    @admin.action(description="Persist: spare from collection", permissions=["change"])
    def persist(self, request: HttpRequest, queryset: QuerySet[LiveSession]) -> None:
        self.act_on_each(request, queryset, partial(admin_actions.session_persist, persistent=True))

    @admin.action(description="Persist no longer", permissions=["change"])
    def unpersist(self, request: HttpRequest, queryset: QuerySet[LiveSession]) -> None:
        self.act_on_each(
            request, queryset, partial(admin_actions.session_persist, persistent=False)
        )

    @admin.action(description="End all livelessons", permissions=["change"])
    def end_livelessons(self, request: HttpRequest, queryset: QuerySet[LiveSession]) -> None:
        end = partial(admin_actions.livelessons_of_session_end, holder=holder_of(request))
        self.act_on_each(request, queryset, end)


class LiveEndpointInline(ReadOnlyInline):
    model = LiveEndpoint
    fields = [
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
    readonly_fields = ["log"]

    @admin.display(description="log tail")
    def log(self, endpoint: LiveEndpoint) -> SafeString | str:
        return preformatted(endpoint.log_tail)


class LockInline(ReadOnlyInline):
    model = LiveLessonLock
    fields = ["action", "holder", "created_at", "expires_at"]


class HistoryInline(ReadOnlyInline):
    model = LiveLessonChange
    verbose_name_plural = "history"
    fields = ["at", "state", "stage", "attempt", "reason_code", "reason"]


@admin.register(LiveLesson)
class LiveLessonAdmin(ReadOnlyAdmin):
    list_display = [
        "slug",
        "short_id",
        "state",
        "reason_code",
        "stage_wished",
        "action_running",
        "session_link",
        "attempt",
        "age",
        "unused_for",
        "ends",
    ]
    list_filter = [
        "state",
        "desired",
        ActionRunningFilter,
        ReasonFilter,
        "end_reason",
        "environment_gone",
        "session__persistent",
        "created_at",
    ]
    search_fields = ["slug", "session__source_address", "session__learner__display_name"]
    uuid_search_fields = ["id", "session_id", "session__learner_id"]
    date_hierarchy = "created_at"
    actions = ["end", "extend", "persist", "unpersist", "retry", "break_lock"]
    inlines = [LiveEndpointInline, LockInline, HistoryInline]
    fieldsets = [
        (None, {"fields": ["id", "slug", "lesson_link", "session_link", "age"]}),
        ("Wished", {"fields": ["desired", "desired_stage", "desired_restarts", "generation"]}),
        (
            "Found",
            {
                "fields": [
                    "state",
                    "state_since",
                    "stage",
                    "reason_code",
                    "reason",
                    "healthy_tests",
                    "total_tests",
                    "end_reason",
                    "environment_gone",
                    "log",
                ]
            },
        ),
        (
            "Times",
            {"fields": ["created_at", "ready_at", "last_active_at", "expires_at", "ended_at"]},
        ),
        (
            "Scheduler",
            {
                "fields": [
                    "backend",
                    "attempt",
                    "start_attempts",
                    "restarts",
                    "configuration_run",
                    "failures",
                    "reachable_since",
                    "observed_generation",
                    "next_look_at",
                    "lease_until",
                    "lease_generation",
                    "version",
                ]
            },
        ),
        ("Runtime description", {"classes": ["collapse"], "fields": ["masked_spec"]}),
    ]
    readonly_fields = ["id", "lesson_link", "session_link", "age", "log", "masked_spec"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[LiveLesson]:
        live_lessons: QuerySet[LiveLesson] = super().get_queryset(request)
        return live_lessons.select_related("session", "lock").defer(*_LARGE)

    @admin.display(description="id", ordering="id")
    def short_id(self, live_lesson: LiveLesson) -> str:
        return str(live_lesson.pk)[:8]

    @admin.display(description="stage", ordering="stage")
    def stage_wished(self, live_lesson: LiveLesson) -> str:
        if live_lesson.stage == live_lesson.desired_stage:
            return str(live_lesson.stage)
        return f"{live_lesson.stage} → {live_lesson.desired_stage}"

    @admin.display(description="action", ordering="lock__action", empty_value="-")
    def action_running(self, live_lesson: LiveLesson) -> str | None:
        lock = getattr(live_lesson, "lock", None)
        if lock is None:
            return None
        expired = lock.expires_at <= timezone.now()
        return f"{lock.get_action_display()}{' (expired)' if expired else ''}"

    @admin.display(description="session", ordering="session")
    def session_link(self, live_lesson: LiveLesson) -> SafeString:
        name = str(live_lesson.session_id)[:8]
        persistent = " (persistent)" if live_lesson.session.persistent else ""
        return page_link(LiveSession, live_lesson.session_id, f"{name}{persistent}")

    @admin.display(description="lesson")
    def lesson_link(self, live_lesson: LiveLesson) -> SafeString:
        return page_link(Lesson, live_lesson.lesson_id, live_lesson.slug)

    @admin.display(ordering="created_at")
    def age(self, live_lesson: LiveLesson) -> str:
        until = live_lesson.ended_at or timezone.now()
        return timesince(live_lesson.created_at, until, depth=1)

    @admin.display(ordering="last_active_at")
    def unused_for(self, live_lesson: LiveLesson) -> str:
        return timesince(live_lesson.last_active_at, depth=1) if _lives(live_lesson) else "-"

    @admin.display(ordering="expires_at")
    def ends(self, live_lesson: LiveLesson) -> str:
        if _lives(live_lesson):
            return f"in {timeuntil(live_lesson.expires_at, depth=1)}"
        return f"ended: {live_lesson.end_reason}" if live_lesson.end_reason else "ended"

    @admin.display(description="log tail")
    def log(self, live_lesson: LiveLesson) -> SafeString | str:
        return preformatted(live_lesson.log_tail)

    @admin.display(description="runtime description")
    def masked_spec(self, live_lesson: LiveLesson) -> SafeString | str:
        return masked_json(live_lesson.spec)

    @admin.action(description="End", permissions=["change"])
    def end(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(admin_actions.end, holder=holder_of(request)))

    @admin.action(description="Extend the lifetime", permissions=["change"])
    def extend(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, admin_actions.extend)

    @admin.action(description="Persist the session", permissions=["change"])
    def persist(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(_persist, persistent=True))

    @admin.action(description="Persist the session no longer", permissions=["change"])
    def unpersist(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(_persist, persistent=False))

    @admin.action(description="Retry with a fresh environment", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(admin_actions.retry, holder=holder_of(request)))

    @admin.action(description="Break the lock", permissions=["change"])
    def break_lock(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(
            request, queryset, partial(admin_actions.break_lock, holder=holder_of(request))
        )


def _lives(live_lesson: LiveLesson) -> bool:
    return live_lesson.state in LIVE


def _persist(live_lesson: LiveLesson, *, persistent: bool) -> str:
    return admin_actions.session_persist(live_lesson.session, persistent=persistent)


class _PartOfLiveLessonAdmin(ReadOnlyAdmin):
    """Rows of a livelesson in a list of their own, joined to it."""

    uuid_search_fields = ["live_lesson_id", "live_lesson__session_id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        rows = super().get_queryset(request).select_related("live_lesson")
        return rows.defer(*(f"live_lesson__{name}" for name in _LARGE))

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
            return admin_actions.break_lock(lock.live_lesson, holder=holder_of(request))

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
