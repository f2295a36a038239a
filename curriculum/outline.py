"""What a lesson's file says about other things, as far as it can be told.

A file with a mistake in one place is still checked in all others, so the rules read this
outline and not the definition, which exists only for a file without any mistake.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curriculum.documents import Document, Location
from curriculum.fields import BOOLEANS, INTEGER
from curriculum.objectives import KINDS


@dataclass(frozen=True, slots=True)
class Named:
    """A text and the line where it stands."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class PresentationOutline:
    """One way into an endpoint; what is missing is an empty text or port 0."""

    name: Named
    type: str
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint; what is missing is an empty text."""

    name: Named
    image: Named
    configuration_type: Named
    presentations: tuple[PresentationOutline, ...]
    additional_ports: tuple[int, ...]

    def offers(self, kind: str) -> bool:
        """Say whether learners have a way of this type into it."""
        return any(presentation.type == kind for presentation in self.presentations)

    @property
    def ports(self) -> frozenset[int]:
        """Every port that others may connect to; 0 among them: not all can be told."""
        return frozenset((*(p.port for p in self.presentations), *self.additional_ports))


@dataclass(frozen=True, slots=True)
class CheckOutline:
    """How an objective is checked; ``kinds`` are those of the five ways that are given."""

    line: int
    kinds: tuple[str, ...]
    endpoint: Named
    file: Named
    port: int
    port_line: int


@dataclass(frozen=True, slots=True)
class ObjectiveOutline:
    """One objective; what is missing is an empty text."""

    slug: Named
    needs: tuple[Named, ...]
    optional: bool
    check: CheckOutline


@dataclass(frozen=True, slots=True)
class StageOutline:
    """One stage; ``texts`` are the objectives in their older form, ``gate`` is None unless true."""

    guide_type: Named
    objectives: tuple[ObjectiveOutline, ...]
    texts: tuple[Named, ...]
    has_verification: bool
    verification_line: int
    gate: Named | None
    complete_message: Named


@dataclass(frozen=True, slots=True)
class Outline:
    """A lesson's names and references."""

    slug: Named
    tier: str
    collection: Named
    prerequisites: tuple[Named, ...]
    endpoints: tuple[Endpoint, ...]
    connections: tuple[tuple[Named, Named], ...]
    stages: tuple[StageOutline, ...]


def _number(named: Named) -> int:
    return int(named.text) if INTEGER.fullmatch(named.text) else 0


def _is_true(named: Named) -> bool:
    return BOOLEANS.get(named.text.lower(), False)


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

    def texts(self, mapping: dict[str, Any], location: Location, key: str) -> tuple[Named, ...]:
        return tuple(self.text(item, below) for below, item in self.items(mapping, location, key))

    def mappings(
        self, mapping: dict[str, Any], location: Location, key: str
    ) -> Iterator[tuple[Location, dict[str, Any]]]:
        for below, item in self.items(mapping, location, key):
            yield below, item if isinstance(item, dict) else {}

    def mapping(
        self, mapping: dict[str, Any], location: Location, key: str
    ) -> tuple[Location, dict[str, Any]]:
        below = mapping.get(key)
        return (*location, key), below if isinstance(below, dict) else {}

    def endpoint(self, location: Location, item: dict[str, Any]) -> Endpoint:
        return Endpoint(
            name=self.key(item, location, "name"),
            image=self.key(item, location, "image"),
            configuration_type=self.key(item, location, "configurationType"),
            presentations=tuple(
                PresentationOutline(
                    name=self.key(entry, below, "name"),
                    type=self.key(entry, below, "type").text,
                    port=_number(self.key(entry, below, "port")),
                )
                for below, entry in self.mappings(item, location, "presentations")
            ),
            additional_ports=tuple(
                _number(port) for port in self.texts(item, location, "additionalPorts")
            ),
        )

    def check(self, location: Location, item: dict[str, Any]) -> CheckOutline:
        kinds = tuple(kind for kind in KINDS if kind in item)
        asked, question = self.mapping(item, location, "tcp" if "tcp" in item else "http")
        port = self.key(question, asked, "port")
        return CheckOutline(
            line=self.document.line(location),
            kinds=kinds,
            endpoint=self.key(item, location, "endpoint"),
            file=self.key(item, location, "file"),
            port=_number(port),
            port_line=port.line,
        )

    def objective(self, location: Location, item: dict[str, Any]) -> ObjectiveOutline:
        return ObjectiveOutline(
            slug=self.key(item, location, "slug"),
            needs=self.texts(item, location, "needs"),
            optional=_is_true(self.key(item, location, "optional")),
            check=self.check(*self.mapping(item, location, "check")),
        )

    def stage(self, location: Location, item: dict[str, Any]) -> StageOutline:
        guide_type = self.text(item.get("guideType", "markdown"), (*location, "guideType"))
        older, verification = self.mapping(item, location, "verification")
        gate = self.key(item, location, "gate")
        return StageOutline(
            guide_type=guide_type,
            objectives=tuple(
                self.objective(below, entry)
                for below, entry in self.mappings(item, location, "objectives")
            ),
            texts=self.texts(verification, older, "objectives"),
            has_verification="verification" in item,
            verification_line=self.document.line(older),
            gate=gate if _is_true(gate) else None,
            complete_message=self.key(item, location, "completeMessage"),
        )


def outline(document: Document) -> Outline:
    """Return what a lesson's document says of itself and refers to."""
    read, root = _Reader(document), document.value
    return Outline(
        slug=read.key(root, (), "slug"),
        tier=read.key(root, (), "tier").text,
        collection=read.key(root, (), "collection"),
        prerequisites=read.texts(root, (), "prereqs"),
        endpoints=tuple(read.endpoint(*found) for found in read.mappings(root, (), "endpoints")),
        connections=tuple(
            (read.key(item, location, "a"), read.key(item, location, "b"))
            for location, item in read.mappings(root, (), "connections")
        ),
        stages=tuple(read.stage(*found) for found in read.mappings(root, (), "stages")),
    )
