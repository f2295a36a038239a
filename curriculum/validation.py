"""What must hold between the files of a curriculum."""

import difflib
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any

from curriculum.loader import Progress, load_curriculum, no_progress
from curriculum.outline import Named
from curriculum.problems import quoted
from curriculum.tree import Limits
from curriculum.units import LessonUnit, LoadedCurriculum, Unit

_TIER_REACH = {"prod": 0, "ptr": 1, "local": 2}


def _by_slug(units: Iterable[Unit[Any]]) -> dict[str, Unit[Any]]:
    return {unit.slug: unit for unit in units if unit.slug}


def _hint(slug: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(slug, list(known), n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _check_duplicates(units: Iterable[Unit[Any]]) -> None:
    """Refuse every bearer of a slug that several bear: none is more right than the others."""
    bearers: dict[str, list[Unit[Any]]] = {}
    for unit in units:
        if unit.slug:
            bearers.setdefault(unit.slug, []).append(unit)
    for slug, sharing in bearers.items():
        if len(sharing) < 2:
            continue
        for unit in sharing:
            other = sharing[1] if unit is sharing[0] else sharing[0]
            unit.report.error(
                f"slug {quoted(slug)} is also that of {other.file}:{other.slug_line}",
                line=unit.slug_line,
            )


def _check_collection(lesson: LessonUnit, collections: Mapping[str, Unit[Any]]) -> None:
    if lesson.outline is None or not (named := lesson.outline.collection).text:
        return
    if named.text not in collections:
        lesson.report.error(
            f"collection {quoted(named.text)} is not defined{_hint(named.text, collections)}",
            line=named.line,
        )


def _check_images(lesson: LessonUnit, images: Mapping[str, Unit[Any]]) -> None:
    if lesson.outline is None:
        return
    for endpoint in lesson.outline.endpoints:
        image = endpoint.image
        if image.text and image.text not in images:
            if image.text not in lesson.missing_images:
                lesson.missing_images.append(image.text)
            lesson.report.warning(
                f"image {quoted(image.text)} is not defined, so the lesson is listed but cannot "
                f"be started{_hint(image.text, images)}",
                line=image.line,
            )


def _check_prerequisites(lesson: LessonUnit, lessons: Mapping[str, LessonUnit]) -> None:
    if lesson.outline is None:
        return
    first: dict[str, int] = {}
    for named in lesson.outline.prerequisites:
        if not named.text:
            continue
        if named.text in first:
            lesson.report.warning(
                f"prerequisite {quoted(named.text)} is named already in line {first[named.text]}",
                line=named.line,
            )
            continue
        first[named.text] = named.line
        other = lessons.get(named.text)
        if other is None:
            lesson.report.error(
                f"prerequisite {quoted(named.text)} does not exist{_hint(named.text, lessons)}",
                line=named.line,
            )
        elif other.outline is not None:
            _check_tiers(lesson, named, other.outline.tier)


def _check_tiers(lesson: LessonUnit, named: Named, other: str) -> None:
    own = lesson.outline.tier if lesson.outline else ""
    if own in _TIER_REACH and other in _TIER_REACH and _TIER_REACH[other] > _TIER_REACH[own]:
        lesson.report.warning(
            f"prerequisite {quoted(named.text)} is of tier {other}: "
            f"it is hidden from learners who see this lesson of tier {own}",
            line=named.line,
        )


def _prerequisite_line(lesson: LessonUnit, slug: str) -> int:
    listed = lesson.outline.prerequisites if lesson.outline else ()
    return next((named.line for named in listed if named.text == slug), 1)


def _check_cycles(lessons: Mapping[str, LessonUnit]) -> None:
    graph = {
        slug: {named.text for named in lesson.outline.prerequisites if named.text in lessons}
        for slug, lesson in sorted(lessons.items())
        if lesson.outline is not None
    }
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as exc:
            # graphlib lists each node before the one that needs it, the first again at the end.
            cycle: list[str] = list(reversed(exc.args[1]))
        else:
            return
        for slug, needed in pairwise(cycle):
            start = cycle.index(slug)
            path = [*cycle[start:-1], *cycle[:start], slug]
            lessons[slug].report.error(
                f"prerequisites go round in a circle: {' -> '.join(path)}",
                line=_prerequisite_line(lessons[slug], needed),
            )
            graph.pop(slug, None)


def _refuse_users(lesson: LessonUnit, units: Mapping[str, Unit[Any]], named: Named) -> None:
    unit = units.get(named.text)
    if unit is not None and unit.refused:
        lesson.report.error(f"{quoted(named.text)} is refused: see {unit.file}", line=named.line)


def _refuse_dependants(lessons: Mapping[str, LessonUnit], candidates: list[LessonUnit]) -> None:
    """Refuse, however far down, what needs a refused lesson; name the cause."""
    dependants: dict[str, list[tuple[LessonUnit, Named]]] = {}
    for lesson in candidates:
        for named in lesson.outline.prerequisites if lesson.outline else ():
            if named.text != lesson.slug:
                dependants.setdefault(named.text, []).append((lesson, named))
    pending = [slug for slug, lesson in lessons.items() if lesson.refused]
    while pending:
        slug = pending.pop()
        for lesson, named in dependants.pop(slug, ()):
            if not lesson.refused and lesson.slug:
                pending.append(lesson.slug)
            lesson.report.error(
                f"prerequisite {quoted(slug)} is refused: see {lessons[slug].file}",
                line=named.line,
            )


def validate_curriculum(loaded: LoadedCurriculum, *, strict: bool = False) -> None:
    """Check what the files say of each other; the findings go to the reports of ``loaded``.

    ``strict`` makes errors of warnings. What needs a refused thing is refused too, with the
    cause: so a lesson that worked yesterday keeps its last good version, instead of one whose
    image or prerequisite is missing.
    """
    collections = _by_slug(loaded.collections)
    images = _by_slug(loaded.images)
    lessons = {lesson.slug: lesson for lesson in loaded.lessons if lesson.slug}
    for units in (loaded.collections, loaded.images, loaded.lessons):
        _check_duplicates(units)
    for lesson in loaded.lessons:
        _check_collection(lesson, collections)
        _check_images(lesson, images)
        _check_prerequisites(lesson, lessons)
    _check_cycles(lessons)
    if strict:
        for report in loaded.reports():
            report.promote_warnings()
    for lesson in loaded.lessons:
        if lesson.outline is not None:
            _refuse_users(lesson, collections, lesson.outline.collection)
            for endpoint in lesson.outline.endpoints:
                _refuse_users(lesson, images, endpoint.image)
    _refuse_dependants(lessons, loaded.lessons)


def check_curriculum(
    folder: Path,
    *,
    strict: bool = False,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> LoadedCurriculum:
    """Read a curriculum's folder and check everything in it."""
    loaded = load_curriculum(folder, limits=limits, progress=progress)
    validate_curriculum(loaded, strict=strict)
    return loaded
