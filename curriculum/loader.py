"""Finding and reading everything in a curriculum's folder.

``curriculum.meta.yaml``, ``collections/*/collection.meta.yaml``, ``images/*/image.meta.yaml`` and
``lessons/**/lesson.meta.yaml``. Never raises for what is in the folder: all of it is reported.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from curriculum.bundles import packed_size
from curriculum.definitions import parse_definition, read_document
from curriculum.fields import IMAGE_PATTERN, SLUG_MAX_LENGTH, SLUG_PATTERN, FileModel
from curriculum.lesson_rules import (
    META_NAME,
    check_files,
    check_names,
    check_stage_folders,
    find_configurations,
    read_guides,
)
from curriculum.objective_rules import check_objectives, is_solution, read_solutions
from curriculum.outline import Named, outline
from curriculum.problems import Report
from curriculum.schema import CollectionFile, CurriculumFile, ImageFile, LessonFile
from curriculum.tree import (
    IGNORED_NAMES,
    Limits,
    TreeFile,
    Unreadable,
    file_digest,
    human_bytes,
    list_files,
    list_folder,
    name_fault,
    tree_digest,
)
from curriculum.units import LessonUnit, LoadedCurriculum, Unit

M = TypeVar("M", bound=FileModel)

_MAX_LESSON_DEPTH = 10


class Progress(Protocol):
    """Is told how far a step is; may do nothing."""

    def __call__(self, step: str, done: int, total: int) -> None: ...


def no_progress(step: str, done: int, total: int) -> None:
    """Show nothing."""


def _subfolders(folder: Path, name: str, strays: list[Report]) -> Iterator[tuple[Path, str]]:
    """Yield the folders below a folder; what cannot be searched goes to ``strays``."""
    report = Report(name)
    strays.append(report)
    try:
        entries = list_folder(folder)
    except Unreadable as exc:
        report.error(str(exc))
        return
    for entry in entries:
        below = f"{name}/{entry.name}"
        if entry.name in IGNORED_NAMES:
            continue
        if entry.is_symlink():
            if entry.is_dir():
                stray = Report(below)
                stray.error("is a symbolic link; folders of a curriculum are real folders")
                strays.append(stray)
            continue
        if not entry.is_dir(follow_symlinks=False):
            continue
        if fault := name_fault(below):
            stray = Report(below)
            stray.error(fault)
            strays.append(stray)
            continue
        yield Path(entry.path), below


def _top_folder(folder: Path, name: str, strays: list[Report]) -> Path | None:
    path = folder / name
    if not path.is_symlink():
        return path if path.is_dir() else None
    stray = Report(name)
    stray.error("is a symbolic link; folders of a curriculum are real folders")
    strays.append(stray)
    return None


def _load_unit(path: Path, name: str, model: type[M], pattern: str, limits: Limits) -> Unit[M]:
    report = Report(name)
    unit: Unit[M] = Unit(report)
    document = read_document(path, report, limits)
    if document is None:
        return unit
    slug = document.value.get("slug")
    if isinstance(slug, str) and len(slug) <= SLUG_MAX_LENGTH and re.fullmatch(pattern, slug):
        unit.slug, unit.slug_line = slug, document.line(("slug",))
    definition = parse_definition(document, model, report)
    unit.definition = None if report.has_errors else definition
    return unit


def _load_kind(
    folder: Path, kind: str, model: type[M], pattern: str, strays: list[Report], limits: Limits
) -> list[Unit[M]]:
    top = _top_folder(folder, f"{kind}s", strays)
    if top is None:
        return []
    file = f"{kind}.meta.yaml"
    return [
        _load_unit(path / file, f"{name}/{file}", model, pattern, limits)
        for path, name in _subfolders(top, f"{kind}s", strays)
        if os.path.lexists(path / file)
    ]


def _find_lessons(folder: Path, strays: list[Report], limits: Limits) -> Iterator[tuple[Path, str]]:
    top = _top_folder(folder, "lessons", strays)
    if top is None:
        return
    pending = [(top, "lessons", 1)]
    visited = 0
    while pending:
        parent, parent_name, depth = pending.pop()
        for path, name in _subfolders(parent, parent_name, strays):
            visited += 1
            if visited > limits.folders:
                stray = Report("lessons")
                stray.error(f"holds more than {limits.folders} folders")
                strays.append(stray)
                return
            if os.path.lexists(path / META_NAME):
                yield path, name
            elif depth < _MAX_LESSON_DEPTH:
                pending.append((path, name, depth + 1))
            else:
                stray = Report(name)
                stray.error(f"is nested more than {_MAX_LESSON_DEPTH} folders deep")
                strays.append(stray)


def _slug_of(unit: LessonUnit, slug: Named) -> None:
    if len(slug.text) <= SLUG_MAX_LENGTH and re.fullmatch(SLUG_PATTERN, slug.text):
        unit.slug, unit.slug_line = slug.text, slug.line


def _hide_answers(unit: LessonUnit) -> None:
    """Set apart what would tell learners how to reach the objectives."""
    objectives = unit.outline is not None and any(s.objectives for s in unit.outline.stages)
    shown: list[TreeFile] = []
    for file in unit.files:
        answers = is_solution(file.name) or (objectives and file.name == META_NAME)
        (unit.hidden if answers else shown).append(file)
    unit.files = shown


def _digest(unit: LessonUnit, files: Sequence[TreeFile], name: str, limits: Limits) -> str:
    entries = []
    for file in files:
        try:
            entries.append((file, file_digest(file, limit=limits.unpacked_bytes)))
        except Unreadable as exc:
            unit.report.error(str(exc), file=f"{name}/{file.name}")
    # What is small enough unpacked is so packed; only the rest is worth the time of packing.
    if sum(file.size for file in files) > limits.bundle_bytes and not unit.report.has_errors:
        size = packed_size(files, limits=limits)
        if size > limits.bundle_bytes:
            unit.report.error(
                f"is {human_bytes(size)} packed; "
                f"at most {human_bytes(limits.bundle_bytes)} are allowed",
                file=name,
            )
    return tree_digest(entries)


def load_lesson(path: Path, name: str, limits: Limits) -> LessonUnit:
    """Read one lesson's folder and check all that can be checked without the others."""
    report = Report(f"{name}/{META_NAME}")
    unit = LessonUnit(report)
    unit.files = list_files(path, prefix=name, limits=limits, report=report)
    check_files(unit.files, name, report)
    document = read_document(path / META_NAME, report, limits)
    if document is None:
        return unit
    lesson = unit.outline = outline(document)
    _slug_of(unit, lesson.slug)
    definition = parse_definition(document, LessonFile, report)
    files = {file.name: file for file in unit.files}
    check_names(lesson, report)
    check_stage_folders(unit.files, lesson, report)
    unit.guides = read_guides(files, name, lesson, report, limits)
    unit.configurations = find_configurations(files, lesson, report)
    check_objectives(files, lesson, report)
    unit.solutions = read_solutions(files, name, lesson, report)
    if not report.has_errors:
        _hide_answers(unit)
        unit.hidden_digest = _digest(unit, unit.hidden, name, limits)
        unit.tree_digest = _digest(unit, unit.files, name, limits)
        unit.definition = definition
    return unit


def load_curriculum(
    folder: Path, *, limits: Limits | None = None, progress: Progress = no_progress
) -> LoadedCurriculum:
    """Read a curriculum's folder; what its files say of each other is not checked yet."""
    limits = limits or Limits()
    name = "curriculum.meta.yaml"
    report = Report(name)
    loaded = LoadedCurriculum(folder, Unit(report))
    if not folder.is_dir():
        report.error("the curriculum's folder does not exist or is not a folder")
        return loaded
    document = read_document(folder / name, report, limits)
    if document is not None:
        loaded.meta.definition = parse_definition(document, CurriculumFile, report)
    strays = loaded.strays
    loaded.collections = _load_kind(
        folder, "collection", CollectionFile, SLUG_PATTERN, strays, limits
    )
    loaded.images = _load_kind(folder, "image", ImageFile, IMAGE_PATTERN, strays, limits)
    places = sorted(_find_lessons(folder, strays, limits), key=lambda place: place[1])
    for done, (path, place) in enumerate(places):
        progress("Reading lessons", done, len(places))
        loaded.lessons.append(load_lesson(path, place, limits))
    progress("Reading lessons", len(places), len(places))
    return loaded
