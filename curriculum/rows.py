"""From checked files to rows: pure functions, nothing is saved here."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from curriculum.bundles import PackedLesson
from curriculum.objective_rows import complete_message, objective_dicts
from curriculum.outline import Outline
from curriculum.schema import (
    AmountsEntry,
    CollectionFile,
    EndpointEntry,
    ImageFile,
    LessonFile,
    ResourcesEntry,
)
from curriculum.units import LessonUnit, Unit
from lessons.models import (
    Bundle,
    Connection,
    Endpoint,
    Lesson,
    Presentation,
    Stage,
)
from lessons.specs import (
    AmountsDict,
    EndpointDict,
    ImageDict,
    LessonDict,
    ResourcesDict,
    StageDict,
    told_objectives,
)

FORMAT = 3
"""Part of every lesson's digest: raise it when the same files come to mean other rows."""


def content_digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def image_dict(slug: str, image: ImageFile | None) -> ImageDict:
    """Return an image's normalised definition; what nobody defines has no privileges."""
    image = image or ImageFile(slug=slug)
    return ImageDict(
        slug=image.slug,
        flavor=image.flavor,
        enable_forwarding=image.enable_forwarding,
        network_interfaces=list(image.network_interfaces),
        ssh_user=image.ssh_user,
        ssh_password=image.ssh_password,
        config_user=image.config_user,
        config_password=image.config_password,
        resources=_resources_dict(image.resources),
    )


def _resources_dict(entry: ResourcesEntry) -> ResourcesDict:
    resources = ResourcesDict()
    if requests := _amounts_dict(entry.requests):
        resources["requests"] = requests
    if limits := _amounts_dict(entry.limits):
        resources["limits"] = limits
    return resources


def _amounts_dict(entry: AmountsEntry) -> AmountsDict:
    amounts = AmountsDict()
    if entry.cpu:
        amounts["cpu"] = entry.cpu
    if entry.memory:
        amounts["memory"] = entry.memory
    return amounts


def lesson_digest(unit: LessonUnit, images: Mapping[str, ImageFile]) -> str:
    """Return the address of a lesson's content: slug, folder, images and FORMAT."""
    definition = _definition(unit)
    used = sorted({endpoint.image for endpoint in definition.endpoints})
    return content_digest(
        {
            "format": FORMAT,
            "slug": definition.slug,
            "folder": unit.tree_digest,
            "hidden": unit.hidden_digest,
            "images": {
                slug: image_dict(slug, images[slug]) if slug in images else None for slug in used
            },
        }
    )


def _definition(unit: LessonUnit) -> LessonFile:
    if unit.definition is None:
        raise ValueError(f"{unit.file} has no definition")
    return unit.definition


def _outline(unit: LessonUnit) -> Outline:
    if unit.outline is None:
        raise ValueError(f"{unit.file} has no outline")
    return unit.outline


def _endpoint_dict(endpoint: EndpointEntry, images: Mapping[str, ImageFile]) -> EndpointDict:
    return EndpointDict(
        name=endpoint.name,
        configuration_type=endpoint.configuration_type or "",
        additional_ports=list(endpoint.additional_ports),
        image=image_dict(endpoint.image, images.get(endpoint.image)),
        presentations=[
            {"name": entry.name, "port": entry.port, "type": entry.type}
            for entry in endpoint.presentations
        ],
    )


def lesson_spec(
    unit: LessonUnit, images: Mapping[str, ImageFile], *, digest: str, bundle_sha256: str
) -> LessonDict:
    """Return the runtime description that a livelesson copies when it starts."""
    definition = _definition(unit)
    return LessonDict(
        slug=definition.slug,
        digest=digest,
        bundle_sha256=bundle_sha256,
        ready_delay_seconds=definition.ready_delay,
        endpoints=[_endpoint_dict(endpoint, images) for endpoint in definition.endpoints],
        connections=[
            {"a": connection.a, "b": connection.b, "subnet": connection.subnet or ""}
            for connection in definition.connections
        ],
        stages=[
            StageDict(
                guide_type=stage.guide_type,
                configurations=dict(configurations),
                objectives=objective_dicts(stage, position, _outline(unit)),
                complete_message=complete_message(stage),
                gate=stage.gate,
            )
            for position, (stage, configurations) in enumerate(
                zip(definition.stages, unit.configurations, strict=True)
            )
        ],
    )


class LessonRows:
    """The unsaved rows of one lesson's version; children refer to ``lesson``."""

    def __init__(
        self,
        unit: LessonUnit,
        images: Mapping[str, ImageFile],
        *,
        digest: str,
        packed: PackedLesson,
    ) -> None:
        definition = _definition(unit)
        spec = lesson_spec(unit, images, digest=digest, bundle_sha256=packed.sha256)
        self.bundle = Bundle(sha256=packed.sha256, content=packed.content, size=len(packed.content))
        self.lesson = Lesson(
            slug=definition.slug,
            digest=digest,
            name=definition.name,
            category=definition.category,
            tier=definition.tier,
            collection=definition.collection or "",
            description=definition.description,
            short_description=definition.short_description,
            diagram=definition.diagram,
            video=definition.video,
            ready_delay_seconds=definition.ready_delay,
            prerequisites=list(dict.fromkeys(definition.prereqs)),
            tags=list(definition.tags),
            authors=[{"name": author.name, "link": author.link} for author in definition.authors],
            missing_images=list(unit.missing_images),
            spec=spec,
            bundle_id=packed.sha256,
            file=unit.file,
        )
        self.stages = [
            Stage(
                lesson=self.lesson,
                position=position,
                description=stage.description,
                guide_type=stage.guide_type,
                guide=guide,
                video=stage.stage_video,
                objectives=told_objectives(spec, position),
                gate=stage.gate,
                solutions=solutions,
            )
            for position, (stage, guide, solutions) in enumerate(
                zip(definition.stages, unit.guides, unit.solutions, strict=True)
            )
        ]
        self.endpoints: list[Endpoint] = []
        self.presentations: list[Presentation] = []
        for position, entry in enumerate(definition.endpoints):
            self._add_endpoint(position, entry)
        self.connections = [
            Connection(
                lesson=self.lesson,
                position=position,
                a=connection.a,
                b=connection.b,
                subnet=connection.subnet or "",
            )
            for position, connection in enumerate(definition.connections)
        ]

    def _add_endpoint(self, position: int, entry: EndpointEntry) -> None:
        endpoint = Endpoint(
            lesson=self.lesson,
            position=position,
            name=entry.name,
            image=entry.image,
            configuration_type=entry.configuration_type or "",
            additional_ports=list(entry.additional_ports),
        )
        self.endpoints.append(endpoint)
        self.presentations += [
            Presentation(
                endpoint=endpoint, position=place, name=shown.name, port=shown.port, type=shown.type
            )
            for place, shown in enumerate(entry.presentations)
        ]


def collection_fields(unit: Unit[CollectionFile]) -> dict[str, Any]:
    """Return the columns of a collection but its slug."""
    if unit.definition is None:
        raise ValueError(f"{unit.file} has no definition")
    return {**unit.definition.model_dump(exclude={"slug"}), "file": unit.file}


def image_fields(unit: Unit[ImageFile]) -> dict[str, Any]:
    """Return the columns of an image but its slug."""
    if unit.definition is None:
        raise ValueError(f"{unit.file} has no definition")
    return {
        **unit.definition.model_dump(exclude={"slug", "resources"}),
        "resources": _resources_dict(unit.definition.resources),
        "file": unit.file,
    }
