"""Learners and their sessions, for operators."""

from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from livelessons.admin import actions
from livelessons.admin.actions import holder_of
from livelessons.admin.filters import InUseFilter
from livelessons.errors import IdentityTaken
from livelessons.models import ExternalIdentity, Learner, LiveLesson, LiveSession
from livelessons.services import learner_link
from livelessons.states import LIVE
from syringe_project.administration import (
    AnyModelAdmin,
    AnyModelForm,
    AnyTabularInline,
    BoundedPaginator,
    ReadOnlyAdmin,
    row_count,
)


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
        self.act_on_each(request, queryset, partial(actions.session_persist, persistent=True))

    @admin.action(description="Persist no longer", permissions=["change"])
    def unpersist(self, request: HttpRequest, queryset: QuerySet[LiveSession]) -> None:
        self.act_on_each(request, queryset, partial(actions.session_persist, persistent=False))

    @admin.action(description="End all livelessons", permissions=["change"])
    def end_livelessons(self, request: HttpRequest, queryset: QuerySet[LiveSession]) -> None:
        end = partial(actions.livelessons_of_session_end, holder=holder_of(request))
        self.act_on_each(request, queryset, end)
