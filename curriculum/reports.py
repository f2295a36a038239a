"""What an import did."""

from dataclasses import dataclass, field

from curriculum.problems import Problem


@dataclass(slots=True)
class Tally:
    """What became of the things of one kind, by slug; what is refused may have only a file.

    ``kept`` are those that the folder no longer has, left alone because pruning was not asked.
    """

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ImportReport:
    """What an import did; ``revision`` is the curriculum's now."""

    lessons: Tally = field(default_factory=Tally)
    collections: Tally = field(default_factory=Tally)
    images: Tally = field(default_factory=Tally)
    problems: list[Problem] = field(default_factory=list)
    changed: bool = False
    revision: int = 0
