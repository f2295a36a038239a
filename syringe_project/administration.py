"""What the admin pages of every app share: rows are looked at, and changed by actions only."""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.core.paginator import Paginator
from django.db import DatabaseError
from django.db.models import Count, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from syringe_project.errors import Conflict, SyringeError

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
    AnyModelForm = forms.ModelForm[Any]
    AnyTabularInline = admin.TabularInline[Any, Any]
    AnyPaginator = Paginator[Any]
else:
    AnyModelAdmin = admin.ModelAdmin
    AnyModelForm = forms.ModelForm
    AnyTabularInline = admin.TabularInline
    AnyPaginator = Paginator

COUNTED_AT_MOST = 10_000
"""Rows that a list counts; what lies beyond is found by filters, dates and search."""

ROWS_OF_AN_ACTION = 500
"""Rows that one request acts on, so that it ends before the browser or a proxy gives up."""

NAMES_IN_A_MESSAGE = 20
MASK = "••••••"

admin.site.site_header = "Syringe"
admin.site.site_title = "Syringe"
admin.site.index_title = "Operation"


class NothingToDo(Conflict):
    """An action does not apply to a row as it stands; ``why`` is a sentence for operators."""

    code = "nothing_to_do"
    template = "{why}"


class BoundedPaginator(AnyPaginator):
    """Counts so far as somebody would turn pages, so that a list costs the same at any size."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any, Any]", self.object_list)
        return rows.order_by()[:COUNTED_AT_MOST].count()


class ReadOnlyAdmin(AnyModelAdmin):
    """Shows rows and offers actions on them.

    The permission to change means the actions: no form writes a row, because a form would write
    back what the scheduler has changed since the page was loaded.
    """

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    uuid_search_fields: ClassVar[Sequence[str]] = ()
    """Columns that are searched for an id, by their index, when an id is what was typed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any, Any], search_term: str
    ) -> tuple[QuerySet[Any, Any], bool]:
        if self.uuid_search_fields and (wanted := _as_uuid(search_term)):
            matches = Q()
            for name in self.uuid_search_fields:
                matches |= Q(**{name: wanted})
            return queryset.filter(matches), False
        return super().get_search_results(request, queryset, search_term)

    def act_on_each(
        self, request: HttpRequest, queryset: QuerySet[Any, Any], act: Callable[[Any], str]
    ) -> None:
        """Call ``act`` on each row and tell what happened to each, grouped by what happened.

        ``act`` returns what it did, or raises a SyringeError that says why it did not.
        """
        outcomes: dict[tuple[int, str], list[str]] = defaultdict(list)
        rows = list(queryset[: ROWS_OF_AN_ACTION + 1])
        for row in rows[:ROWS_OF_AN_ACTION]:
            try:
                level, outcome = messages.SUCCESS, act(row)
            except SyringeError as exc:
                level, outcome = messages.WARNING, str(exc)
            except DatabaseError:
                logger.exception("action failed", extra={"row": str(row.pk)})
                level, outcome = messages.ERROR, "The database refused; the log says why."
            else:
                self.log_change(request, row, outcome)
            outcomes[level, outcome].append(str(row))
        for (level, outcome), names in outcomes.items():
            self.message_user(request, f"{outcome} ({len(names)}: {_listed(names)})", level)
        if len(rows) > ROWS_OF_AN_ACTION:
            more = f"Only the first {ROWS_OF_AN_ACTION} were acted on; repeat it for the rest."
            self.message_user(request, more, messages.WARNING)


class ReadOnlyInline(AnyTabularInline):
    """Shows the rows that belong to the one on the page."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def row_count(rows: QuerySet[Any, Any], by: str) -> Coalesce:
    """Return an annotation that counts ``rows`` by a foreign key to the annotated row.

    Unlike a join it is worked out for the rows of the page only.
    """
    counted = rows.filter(**{by: OuterRef("pk")}).order_by().values(by)
    return Coalesce(Subquery(counted.annotate(number=Count("pk")).values("number")), 0)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_IN_A_MESSAGE])
    rest = len(names) - NAMES_IN_A_MESSAGE
    return f"{shown} and {rest} more" if rest > 0 else shown


def page_link(model: type[Model], pk: object, text: object) -> SafeString:
    """Return a link to a row's page, without loading the row."""
    name = admin_urlname(model._meta, SafeString("change"))  # noqa: SLF001 (documented)
    return format_html('<a href="{}">{}</a>', reverse(name, args=[pk]), text)


def preformatted(text: str) -> SafeString | str:
    """Return text as a block that keeps its lines."""
    return format_html('<pre style="white-space: pre-wrap">{}</pre>', text) if text else "-"


def masked_json(data: Any) -> SafeString | str:
    """Return JSON for reading, with passwords and secrets masked."""
    return preformatted(json.dumps(masked(data), indent=2, ensure_ascii=False))


def masked(data: Any) -> Any:
    """Return the data with everything replaced that a password's or a secret's key holds."""
    if isinstance(data, dict):
        return {key: _masked_value(key, value) for key, value in data.items()}
    if isinstance(data, list):
        return [masked(value) for value in data]
    return data


def _masked_value(key: str, value: Any) -> Any:
    secret = any(word in key.lower() for word in ("password", "secret", "token"))
    return (MASK if value else value) if secret else masked(value)
