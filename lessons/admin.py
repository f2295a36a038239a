"""What a curriculum defines, for operators to look at; the curriculum's files are its source."""

from pathlib import Path
from typing import Any

from django.contrib import admin, messages
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString

from curriculum.errors import CurriculumInvalid
from curriculum.importer import ImportReport, Tally, curriculum_import
from curriculum.problems import Problem, Severity
from lessons.models import (
    Bundle,
    Collection,
    Connection,
    CurrentLesson,
    Curriculum,
    Endpoint,
    Image,
    Lesson,
    Stage,
)
from syringe_project.administration import (
    MASK,
    ReadOnlyAdmin,
    ReadOnlyInline,
    masked_json,
    page_link,
    row_count,
)
from syringe_project.errors import SyringeError

PROBLEMS_SHOWN = 50


@admin.register(Curriculum)
class CurriculumAdmin(ReadOnlyAdmin):
    list_display = ["name", "short_version", "revision", "path", "imported_at"]
    list_filter = ["imported_at"]
    search_fields = ["name", "version", "path"]
    date_hierarchy = "imported_at"
    actions = ["re_import"]

    @admin.display(description="version", ordering="version")
    def short_version(self, curriculum: Curriculum) -> str:
        return curriculum.version[:12]

    @admin.action(description="Import again from where it was imported", permissions=["change"])
    def re_import(self, request: HttpRequest, queryset: QuerySet[Curriculum]) -> None:
        """Import the valid part of the curriculum anew and tell every problem."""
        for curriculum in queryset:
            try:
                report = curriculum_import(path=Path(curriculum.path), skip_invalid=True)
            except CurriculumInvalid as exc:
                self._tell_problems(request, exc.problems)
                self.message_user(request, str(exc), messages.ERROR)
            except (SyringeError, OSError, DatabaseError) as exc:
                self.message_user(request, f"Nothing was imported: {exc}", messages.ERROR)
            else:
                summary = summary_of(report)
                self._tell_problems(request, report.problems)
                self.message_user(request, summary, messages.SUCCESS)
                self.log_change(request, curriculum, summary)

    def _tell_problems(self, request: HttpRequest, problems: Any) -> None:
        for problem in problems[:PROBLEMS_SHOWN]:
            self.message_user(request, problem.render(), _level(problem))
        if len(problems) > PROBLEMS_SHOWN:
            more = f"{len(problems) - PROBLEMS_SHOWN} more problems: validate_curriculum lists all."
            self.message_user(request, more, messages.WARNING)


def _level(problem: Problem) -> int:
    return messages.ERROR if problem.severity is Severity.ERROR else messages.WARNING


def summary_of(report: ImportReport) -> str:
    """Say in one sentence what an import did."""
    tallies = {
        "lessons": report.lessons,
        "collections": report.collections,
        "images": report.images,
    }
    parts = "; ".join(f"{name}: {_counts(tally)}" for name, tally in tallies.items())
    return f"Imported as revision {report.revision}. {parts[:1].upper()}{parts[1:]}."


def _counts(tally: Tally) -> str:
    counts = {
        "added": tally.added,
        "changed": tally.changed,
        "unchanged": tally.unchanged,
        "refused": tally.refused,
        "removed": tally.removed,
        "kept": tally.kept,
    }
    return ", ".join(f"{len(slugs)} {what}" for what, slugs in counts.items() if slugs) or "none"


@admin.register(Collection)
class CollectionAdmin(ReadOnlyAdmin):
    list_display = ["slug", "title", "type", "tier", "website"]
    list_filter = ["tier", "type"]
    search_fields = ["slug", "title", "brief_description"]


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    list_display = ["slug", "description", "flavor", "enable_forwarding"]
    list_filter = ["flavor", "enable_forwarding"]
    search_fields = ["slug", "description"]
    fields = [
        "slug",
        "description",
        "flavor",
        "enable_forwarding",
        "network_interfaces",
        "ssh_user",
        "masked_ssh_password",
        "config_user",
        "masked_config_password",
        "resources",
        "file",
    ]
    readonly_fields = ["masked_ssh_password", "masked_config_password"]

    @admin.display(description="SSH password")
    def masked_ssh_password(self, image: Image) -> str:
        return MASK if image.ssh_password else "-"

    @admin.display(description="configuration password")
    def masked_config_password(self, image: Image) -> str:
        return MASK if image.config_password else "-"


@admin.register(Bundle)
class BundleAdmin(ReadOnlyAdmin):
    list_display = ["sha256", "size_for_people", "versions"]
    search_fields = ["sha256", "lessons__slug"]
    fields = ["sha256", "size_for_people", "versions"]
    readonly_fields = ["size_for_people", "versions"]
    ordering = ["sha256"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bundle]:
        bundles: QuerySet[Bundle] = super().get_queryset(request)
        return bundles.defer("content").annotate(
            version_count=row_count(Lesson.objects.all(), "bundle")
        )

    @admin.display(description="size", ordering="size")
    def size_for_people(self, bundle: Bundle) -> str:
        return filesizeformat(bundle.size)

    @admin.display(description="lesson versions", ordering="version_count")
    def versions(self, bundle: Any) -> int:
        return int(bundle.version_count)


class StageInline(ReadOnlyInline):
    model = Stage
    fields = [
        "position",
        "description",
        "guide_type",
        "guide_length",
        "video",
        "objective_slugs",
        "gate",
    ]
    readonly_fields = ["guide_length", "objective_slugs"]

    @admin.display(description="guide")
    def guide_length(self, stage: Stage) -> str:
        return f"{len(stage.guide):,} characters"

    @admin.display(description="objectives")
    def objective_slugs(self, stage: Stage) -> str:
        return ", ".join(objective["slug"] for objective in stage.objectives) or "-"


class EndpointInline(ReadOnlyInline):
    model = Endpoint
    fields = [
        "position",
        "name",
        "image",
        "configuration_type",
        "additional_ports",
        "presentations",
    ]
    readonly_fields = ["presentations"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        endpoints: QuerySet[Endpoint] = super().get_queryset(request)
        return endpoints.prefetch_related("presentations")

    @admin.display
    def presentations(self, endpoint: Endpoint) -> str:
        return ", ".join(f"{p.name} ({p.type} {p.port})" for p in endpoint.presentations.all())


class ConnectionInline(ReadOnlyInline):
    model = Connection
    fields = ["position", "a", "b", "subnet"]


class InForceFilter(admin.SimpleListFilter):
    """Versions that their slug means now, and replaced ones."""

    title = "version"
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("current", "current"), ("replaced", "replaced or withdrawn")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lesson]) -> QuerySet[Lesson]:
        if self.value() in {"current", "replaced"}:
            return queryset.filter(current__isnull=self.value() == "replaced")
        return queryset


class StartableFilter(admin.SimpleListFilter):
    """Lessons whose images are all defined, and the others."""

    title = "startable"
    parameter_name = "startable"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no, an image is missing")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lesson]) -> QuerySet[Lesson]:
        if self.value() == "yes":
            return queryset.filter(missing_images=[])
        if self.value() == "no":
            return queryset.exclude(missing_images=[])
        return queryset


@admin.register(Lesson)
class LessonAdmin(ReadOnlyAdmin):
    list_display = [
        "slug",
        "name",
        "version",
        "is_current",
        "is_startable",
        "tier",
        "category",
        "collection",
        "created_at",
    ]
    list_filter = [InForceFilter, StartableFilter, "tier", "category", "collection"]
    search_fields = ["slug", "name", "short_description", "digest"]
    date_hierarchy = "created_at"
    inlines = [StageInline, EndpointInline, ConnectionInline]
    fields = [
        "slug",
        "name",
        "digest",
        "is_current",
        "missing_images",
        "tier",
        "category",
        "collection",
        "short_description",
        "description",
        "prerequisites",
        "tags",
        "authors",
        "diagram",
        "video",
        "ready_delay_seconds",
        "file",
        "bundle_link",
        "created_at",
        "masked_spec",
    ]
    readonly_fields = ["is_current", "bundle_link", "masked_spec", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Lesson]:
        lessons: QuerySet[Lesson] = super().get_queryset(request)
        return lessons.select_related("current").defer("spec", "description")

    @admin.display(ordering="digest")
    def version(self, lesson: Lesson) -> str:
        return lesson.digest[:12]

    @admin.display(description="current", boolean=True)
    def is_current(self, lesson: Lesson) -> bool:
        return hasattr(lesson, "current")

    @admin.display(description="startable", boolean=True)
    def is_startable(self, lesson: Lesson) -> bool:
        return not lesson.missing_images

    @admin.display(description="bundle")
    def bundle_link(self, lesson: Lesson) -> SafeString:
        return page_link(Bundle, lesson.bundle_id, lesson.bundle_id)

    @admin.display(description="runtime description")
    def masked_spec(self, lesson: Lesson) -> SafeString | str:
        return masked_json(lesson.spec)


@admin.register(CurrentLesson)
class CurrentLessonAdmin(ReadOnlyAdmin):
    list_display = ["slug", "name", "version", "tier", "collection"]
    list_filter = ["lesson__tier", "lesson__collection"]
    search_fields = ["slug", "lesson__name"]
    date_hierarchy = "lesson__created_at"
    fields = ["slug", "version"]
    readonly_fields = ["version"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CurrentLesson]:
        current: QuerySet[CurrentLesson] = super().get_queryset(request)
        return current.select_related("lesson").defer("lesson__spec", "lesson__description")

    @admin.display(ordering="lesson__name")
    def name(self, current: CurrentLesson) -> str:
        return current.lesson.name

    @admin.display
    def version(self, current: CurrentLesson) -> SafeString:
        return page_link(Lesson, current.lesson_id, current.lesson.digest[:12])

    @admin.display(ordering="lesson__tier")
    def tier(self, current: CurrentLesson) -> str:
        return current.lesson.tier

    @admin.display(ordering="lesson__collection")
    def collection(self, current: CurrentLesson) -> str:
        return current.lesson.collection
