"""The files of a curriculum, as their authors write them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from curriculum.fields import (
    EMPTY_IS_ABSENT,
    Boolean,
    ConfigurationType,
    Cpu,
    Credential,
    FileModel,
    GuideType,
    ImageName,
    Label,
    Link,
    Memory,
    Name,
    Port,
    Seconds,
    Slug,
    Subnet,
    Tag,
    Text,
    Tier,
    not_reserved,
    one_line,
)
from curriculum.objectives import CompleteMessage, ObjectiveEntry, VerificationEntry
from curriculum.quantities import amount


class CurriculumFile(FileModel):
    """``curriculum.meta.yaml``: what the whole curriculum is."""

    name: Name = Field(description="Name of the curriculum.")
    description: Text = Field(default="", description="One or two sentences for learners.")
    website: Link = Field(default="", description="Where more is to be read.")
    a_ver: Annotated[str, Field(max_length=50), AfterValidator(one_line)] = Field(
        default="", description="Version of Antidote that the curriculum was written for."
    )
    git_root: Link = Field(default="", description="Where the curriculum's repository is.")


class CollectionFile(FileModel):
    """``collection.meta.yaml``: a group of lessons, usually one author's or vendor's."""

    slug: Slug = Field(description="What lessons name it by; unique.")
    title: Name = Field(description="What learners see.")
    image: Link = Field(default="", description="Address of a picture.")
    website: Link = Field(default="", description="Address of the people behind it.")
    contact_email: Annotated[str, Field(max_length=200), AfterValidator(one_line)] = Field(
        default="", description="Whom learners may write to."
    )
    brief_description: Text = Field(default="", description="Why a learner should look at it.")
    long_description: Text = Field(default="", description="Why a learner should go on.")
    type: Annotated[str, Field(max_length=50), AfterValidator(one_line)] = Field(
        default="", description="Such as vendor, consultancy or community."
    )
    tier: Tier = Field(default="prod", description="Who sees it: local > ptr > prod.")


class AmountsEntry(FileModel):
    """Amounts as Kubernetes writes them; what is left out, the installation decides."""

    cpu: Cpu = Field(default="", description="Cores, such as 250m or 1.5.")
    memory: Memory = Field(default="", description="Bytes, such as 512Mi or 2Gi.")


class ResourcesEntry(FileModel):
    """What one endpoint of an image needs, where the installation's defaults do not fit."""

    requests: AmountsEntry = Field(default_factory=AmountsEntry, description="What it is promised.")
    limits: AmountsEntry = Field(default_factory=AmountsEntry, description="What it gets at most.")

    @field_validator("limits")
    @classmethod
    def _promises_fit(cls, limits: AmountsEntry, info: ValidationInfo) -> AmountsEntry:
        requests = info.data.get("requests", AmountsEntry())
        for name in AmountsEntry.model_fields:
            limit, request = getattr(limits, name), getattr(requests, name)
            if limit and request and amount(limit) < amount(request):
                raise PydanticCustomError(
                    "syringe",
                    "must not be less than the requests: {name} is {limit}, below {request}",
                    {"name": name, "limit": limit, "request": request},
                )
        return limits


class ImageFile(FileModel):
    """``image.meta.yaml``: what an endpoint is made of."""

    slug: ImageName = Field(description="What endpoints name it by; unique.")
    description: Text = Field(default="", description="What is in it.")
    flavor: Literal["trusted", "untrusted", "legacy"] = Field(
        default="untrusted",
        description="How far it is trusted: untrusted has no privileges at all.",
    )
    enable_forwarding: Boolean = Field(
        default=False, description="Whether it forwards packets between its links."
    )
    network_interfaces: list[
        Annotated[str, Field(min_length=1, max_length=32), AfterValidator(one_line)]
    ] = Field(
        default=[], max_length=64, description="Its interfaces, in the order they are connected."
    )
    ssh_user: Credential = Field(default="", description="Who learners' terminals are.")
    ssh_password: Credential = Field(default="", description="Holds only inside the lesson.")
    config_user: Credential = Field(default="", description="Who configuration scripts are.")
    config_password: Credential = Field(default="", description="Holds only inside the lesson.")
    resources: ResourcesEntry = Field(
        default_factory=ResourcesEntry,
        description="CPU and memory of each of its endpoints, where lessons run on Kubernetes.",
    )


class PresentationEntry(FileModel):
    """One way for a learner into an endpoint."""

    name: Label = Field(description="Name of the tab; unique in the endpoint.")
    port: Port = Field(description="Port of the endpoint.")
    type: Literal["ssh", "http"] = Field(description="A terminal or a web page.")


class EndpointEntry(FileModel):
    """One machine of a lesson."""

    name: Annotated[Label, AfterValidator(not_reserved)] = Field(
        description="Host name by which the others reach it; unique in the lesson.",
    )
    image: ImageName = Field(description="Slug of an image.")
    configuration_type: Annotated[ConfigurationType | None, EMPTY_IS_ABSENT] = Field(
        default=None,
        description="What configures it for a stage: python runs stageN/configs/NAME.py, "
        "ansible stageN/configs/NAME.yml, napalm loads stageN/configs/NAME-DRIVER.txt.",
    )
    additional_ports: list[Port] = Field(
        default=[], max_length=64, description="Ports that other endpoints may connect to."
    )
    presentations: list[PresentationEntry] = Field(
        default=[], max_length=32, description="What learners see of it, in this order."
    )


class ConnectionEntry(FileModel):
    """A link of its own between two endpoints."""

    a: Label = Field(description="Name of an endpoint.")
    b: Label = Field(description="Name of another endpoint.")
    subnet: Annotated[Subnet | None, EMPTY_IS_ABSENT] = Field(
        default=None, description="Its addresses, as 10.1.0.0/24."
    )


class StageEntry(FileModel):
    """One step of a lesson; the guide is stageN/guide.md or stageN/guide.ipynb, N from 0."""

    description: Text = Field(default="", description="Title of the step.")
    guide_type: GuideType = Field(default="markdown", description="What the guide is written in.")
    stage_video: Link = Field(default="", description="Address of a video.")
    objectives: list[ObjectiveEntry] = Field(
        default=[],
        max_length=50,
        description="What learners are to reach, checked while they work.",
    )
    complete_message: CompleteMessage = Field(
        default="", description="Shown when every objective that is not optional is passed."
    )
    gate: Boolean = Field(default=False, description="Whether the next stage opens only then.")
    verification: VerificationEntry | None = Field(
        default=None, description="The older form of objectives; new lessons do without."
    )


class AuthorEntry(FileModel):
    """Who wrote a lesson."""

    name: Name = Field(description="As it is shown.")
    link: Link = Field(default="", description="Where the author is to be found.")


class LessonFile(FileModel):
    """``lesson.meta.yaml``: a lesson; its folder is /antidote in every endpoint."""

    name: Name = Field(description="What learners see.")
    slug: Slug = Field(description="What others name it by; unique, and part of addresses.")
    category: Annotated[str, Field(max_length=100), AfterValidator(one_line)] = Field(
        default="", description="Such as fundamentals, tools or workflows."
    )
    tier: Tier = Field(description="Who sees it: prod everybody, ptr testers, local its authors.")
    collection: Annotated[Slug | None, EMPTY_IS_ABSENT] = Field(
        default=None, description="Slug of a collection."
    )
    description: Text = Field(default="", description="What a learner will get out of it.")
    short_description: Text = Field(default="", description="The same in a word or two.")
    prereqs: list[Slug] = Field(
        default=[], max_length=100, description="Slugs of the lessons to take before."
    )
    tags: list[Tag] = Field(default=[], max_length=100, description="Words to find it by.")
    authors: list[AuthorEntry] = Field(default=[], max_length=100, description="Who wrote it.")
    diagram: Link = Field(default="", description="Address of a picture of the network.")
    video: Link = Field(default="", description="Address of a video.")
    ready_delay: Seconds = Field(
        default=0, description="Seconds to wait after every endpoint answers."
    )
    endpoints: list[EndpointEntry] = Field(
        min_length=1, max_length=64, description="Its machines, in the order of the tabs."
    )
    connections: list[ConnectionEntry] = Field(
        default=[], max_length=256, description="Links between its machines."
    )
    stages: list[StageEntry] = Field(min_length=1, max_length=100, description="Its steps.")


FILE_MODELS: dict[str, type[FileModel]] = {
    "curriculum": CurriculumFile,
    "collection": CollectionFile,
    "image": ImageFile,
    "lesson": LessonFile,
}
"""By kind: the model of the file that is named ``KIND.meta.yaml``."""


def _without_titles(node: Any) -> Any:
    """Leave out the titles that pydantic derives from names; editors show the names anyway."""
    if isinstance(node, dict):
        return {
            key: _without_titles(value)
            for key, value in node.items()
            if not (key == "title" and isinstance(value, str))
        }
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    return node


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of file, for editors and other programs."""
    schema = _without_titles(FILE_MODELS[kind].model_json_schema(by_alias=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{kind}.meta.yaml",
        **schema,
    }
