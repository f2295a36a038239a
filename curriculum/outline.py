"""What a lesson's file says about other things, as far as it can be told.

A file with a mistake in one place is still checked in all others, so the rules read this
outline and not the definition, which exists only for a file without any mistake.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curriculum.documents import Document, Location


@dataclass(frozen=True, slots=True)
class Named:
    """A text and the line where it stands."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint; what is missing is an empty text."""

    name: Named
    image: Named
    configuration_type: Named
    presentations: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """A lesson's names and references."""

    slug: Named
    tier: str
    collection: Named
    prerequisites: tuple[Named, ...]
    endpoints: tuple[Endpoint, ...]
    connections: tuple[tuple[Named, Named], ...]
    stages: tuple[Named, ...]
    """By position: the guide's type."""


@dataclass(frozen=True, slots=True)
class _Reader:
    document: Document

    def text(self, value: Any, location: Location) -> Named:
        return Named(value if isinstance(value, str) else "", self.document.line(location))

    def key(self, mapping: dict[str, Any], location: Location, key: str) -> Named:
        return self.text(mapping.get(key), (*location, key))

    def items(
        self, mapping: dict[str, Any], location: Location, key: str
    ) -> Iterator[tuple[Location, Any]]:
        listed = mapping.get(key)
        for index, item in enumerate(listed if isinstance(listed, list) else ()):
            yield (*location, key, index), item

    def mappings(
        self, mapping: dict[str, Any], location: Location, key: str
    ) -> Iterator[tuple[Location, dict[str, Any]]]:
        for below, item in self.items(mapping, location, key):
            yield below, item if isinstance(item, dict) else {}


def outline(document: Document) -> Outline:
    """Return what a lesson's document says of itself and refers to."""
    read, root = _Reader(document), document.value
    return Outline(
        slug=read.key(root, (), "slug"),
        tier=read.key(root, (), "tier").text,
        collection=read.key(root, (), "collection"),
        prerequisites=tuple(
            read.text(item, location) for location, item in read.items(root, (), "prereqs")
        ),
        endpoints=tuple(
            Endpoint(
                name=read.key(item, location, "name"),
                image=read.key(item, location, "image"),
                configuration_type=read.key(item, location, "configurationType"),
                presentations=tuple(
                    read.key(entry, below, "name")
                    for below, entry in read.mappings(item, location, "presentations")
                ),
            )
            for location, item in read.mappings(root, (), "endpoints")
        ),
        connections=tuple(
            (read.key(item, location, "a"), read.key(item, location, "b"))
            for location, item in read.mappings(root, (), "connections")
        ),
        stages=tuple(
            Named(
                item.get("guideType", "markdown")
                if isinstance(item.get("guideType", ""), str)
                else "",
                document.line((*location, "guideType")),
            )
            for location, item in read.mappings(root, (), "stages")
        ),
    )
