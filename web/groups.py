"""The order in which lessons are listed."""

from dataclasses import dataclass

from lessons.catalogue import Catalogue, LessonEntry

_FIRST = ("fundamentals", "tools", "workflows")


@dataclass(frozen=True, slots=True)
class ListedLesson:
    """``hindrance`` says why it cannot be started, or is empty."""

    entry: LessonEntry
    collection: str
    prerequisites: tuple[str, ...]
    hindrance: str


@dataclass(frozen=True, slots=True)
class LessonGroup:
    """The lessons of one category."""

    title: str
    lessons: tuple[ListedLesson, ...]


def lesson_groups(offered: Catalogue) -> list[LessonGroup]:
    """Return the lessons by category, those for beginners first."""
    by_category: dict[str, list[LessonEntry]] = {}
    for entry in offered.lessons.values():
        by_category.setdefault(entry["category"], []).append(entry)

    def place(category: str) -> tuple[int, str]:
        known = category in _FIRST
        return (_FIRST.index(category) if known else len(_FIRST), category)

    return [
        LessonGroup(
            title=category.replace("-", " ").replace("_", " ").capitalize() or "More lessons",
            lessons=tuple(_listed(offered, entry) for entry in _in_order(by_category[category])),
        )
        for category in sorted(by_category, key=place)
    ]


def _in_order(entries: list[LessonEntry]) -> list[LessonEntry]:
    return sorted(entries, key=lambda entry: (len(entry["prerequisites"]), entry["name"].lower()))


def _listed(offered: Catalogue, entry: LessonEntry) -> ListedLesson:
    missing = entry["missing_images"]
    collection = offered.collections.get(entry["collection"])
    return ListedLesson(
        entry=entry,
        collection=collection["title"] if collection else "",
        prerequisites=tuple(offered.lessons[slug]["name"] for slug in entry["prerequisites"]),
        hindrance=f"Cannot be started: nobody defines the image {', '.join(missing)}."
        if missing
        else "",
    )
