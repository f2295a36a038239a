"""A curriculum as it was read from its folder, before and after it is checked."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from curriculum.fields import FileModel
from curriculum.outline import Outline
from curriculum.problems import Problem, Report, sorted_problems
from curriculum.schema import CollectionFile, CurriculumFile, ImageFile, LessonFile
from curriculum.tree import TreeFile

M = TypeVar("M", bound=FileModel)


@dataclass(slots=True)
class Unit(Generic[M]):
    """One thing that is imported or refused as a whole.

    ``slug`` is known whenever it can be read, ``definition`` only when the file has no mistake.
    """

    report: Report
    slug: str = ""
    slug_line: int = 1
    definition: M | None = None

    @property
    def file(self) -> str:
        """The file or folder that it stands in, below the curriculum's folder."""
        return self.report.file

    @property
    def label(self) -> str:
        """What people call it."""
        return self.slug or self.file

    @property
    def refused(self) -> bool:
        """Whether it cannot be imported."""
        return self.definition is None or self.report.has_errors


@dataclass(slots=True)
class LessonUnit(Unit[LessonFile]):
    """A lesson with its folder; guides, configurations and solutions are by stage.

    ``tree_digest`` covers ``files``, which learners get; ``hidden`` are the others, which would
    tell them the answers.
    """

    outline: Outline | None = None
    files: list[TreeFile] = field(default_factory=list)
    hidden: list[TreeFile] = field(default_factory=list)
    tree_digest: str = ""
    hidden_digest: str = ""
    guides: list[str] = field(default_factory=list)
    configurations: list[dict[str, str]] = field(default_factory=list)
    solutions: list[dict[str, str]] = field(default_factory=list)
    missing_images: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LoadedCurriculum:
    """Everything found in a curriculum's folder; ``strays`` are places that cannot be searched."""

    folder: Path
    meta: Unit[CurriculumFile]
    collections: list[Unit[CollectionFile]] = field(default_factory=list)
    images: list[Unit[ImageFile]] = field(default_factory=list)
    lessons: list[LessonUnit] = field(default_factory=list)
    strays: list[Report] = field(default_factory=list)

    def reports(self) -> Iterator[Report]:
        """Every report, the curriculum's own first."""
        yield self.meta.report
        yield from self.strays
        for units in (self.collections, self.images, self.lessons):
            for unit in units:
                yield unit.report

    @property
    def problems(self) -> list[Problem]:
        """Every problem, by file and line."""
        return sorted_problems(self.reports())

    @property
    def has_errors(self) -> bool:
        """Whether anything at all is refused."""
        return any(report.has_errors for report in self.reports())
