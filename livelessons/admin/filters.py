"""Filters of the admin's lists that the columns alone do not give."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from livelessons.models import LiveLesson
from livelessons.states import LIVE
from scheduler.backends.base import ReasonCode


class ActionRunningFilter(admin.SimpleListFilter):
    """Livelessons by their action lock: which are busy, and which are stuck."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("running", "running"), ("expired", "lock expired"), ("none", "none")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "running":
                return queryset.filter(lock__expires_at__gt=timezone.now())
            case "expired":
                return queryset.filter(lock__expires_at__lte=timezone.now())
            case "none":
                return queryset.filter(lock__isnull=True)
        return queryset


class LockExpiredFilter(admin.SimpleListFilter):
    """Locks that stand, and those that the next action takes over."""

    title = "expired"
    parameter_name = "expired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "yes":
                return queryset.filter(expires_at__lte=timezone.now())
            case "no":
                return queryset.filter(expires_at__gt=timezone.now())
        return queryset


class ReasonFilter(admin.SimpleListFilter):
    """By reason code, from the list of codes: asking the table for its values would scan it."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, code.replace("_", " ")) for code in ReasonCode if code]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason_code=self.value()) if self.value() else queryset


class InUseFilter(admin.SimpleListFilter):
    """Sessions with and without livelessons that run."""

    title = "livelessons running"
    parameter_name = "running"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        running = LiveLesson.objects.filter(session=OuterRef("pk"), state__in=sorted(LIVE))
        match self.value():
            case "yes":
                return queryset.filter(Exists(running))
            case "no":
                return queryset.filter(~Exists(running))
        return queryset
