"""The types of single values in a curriculum's files, and what all their parts have in common."""

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from curriculum.quantities import CPU_PATTERN, MEMORY_PATTERN, amount

SLUG_MAX_LENGTH = 100
SLUG_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
IMAGE_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")
_LINE_BREAKING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_RESERVED = {
    "localhost": "which every endpoint is",
    # `lessons.specs.GUIDE_ENDPOINT`; nothing here may import what needs Django.
    "jupyterlabguide": "which is the server of Jupyter guides",
}
_SUBNET_MAX_PREFIX = {4: 30, 6: 126}


def _matches(pattern: str, message: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        # fullmatch, because $ also matches before a final line break.
        if not compiled.fullmatch(value):
            raise PydanticCustomError("syringe", "{why}", {"why": message})
        return value

    return AfterValidator(check)


def one_line(value: str) -> str:
    """Refuse what breaks lines or steers terminals."""
    if _LINE_BREAKING.search(value):
        raise PydanticCustomError("syringe", "must be one line without control characters")
    return value


def as_integer(value: Any) -> Any:
    """Read a whole number from its text."""
    if isinstance(value, str):
        if not INTEGER.fullmatch(value):
            raise PydanticCustomError("syringe", "must be a whole number")
        return int(value)
    return value


def _boolean(value: Any) -> Any:
    if isinstance(value, str):
        if value.lower() not in BOOLEANS:
            raise PydanticCustomError("syringe", "must be true or false")
        return BOOLEANS[value.lower()]
    return value


def _link(value: str) -> str:
    scheme = _SCHEME.match(value)
    if scheme and scheme[1].lower() not in {"http", "https", "mailto"}:
        raise PydanticCustomError("syringe", "must be an http or https address")
    return value


def _subnet(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as exc:
        raise PydanticCustomError(
            "syringe", "must be a network such as 10.1.0.0/24, with no host bits set"
        ) from exc
    if "/" not in value or network.prefixlen > _SUBNET_MAX_PREFIX[network.version]:
        raise PydanticCustomError(
            "syringe", "must be a network with room for two endpoints, such as 10.1.0.0/30"
        )
    return value


def not_reserved(value: str) -> str:
    """Refuse the host names that have a meaning of their own."""
    if why := _RESERVED.get(value):
        raise PydanticCustomError("syringe", "{why}", {"why": f"must not be {value}, {why}"})
    return value


def _quantity(pattern: str, message: str) -> Any:
    # In YAML, `cpu: 2` is a number; it is read as the text that it is written as.
    schema: dict[str, Any] = {"pattern": pattern, "type": ["string", "number"]}
    return (
        Field(max_length=30, json_schema_extra=schema),
        _matches(pattern, message),
        AfterValidator(_more_than_nothing),
    )


def _more_than_nothing(value: str) -> str:
    if not amount(value):
        raise PydanticCustomError("syringe", "must be more than 0")
    return value


Slug = Annotated[
    str,
    Field(max_length=SLUG_MAX_LENGTH, json_schema_extra={"pattern": SLUG_PATTERN}),
    _matches(SLUG_PATTERN, "must be lower-case letters, digits and inner hyphens"),
]
ImageName = Annotated[
    str,
    Field(max_length=SLUG_MAX_LENGTH, json_schema_extra={"pattern": IMAGE_PATTERN}),
    _matches(IMAGE_PATTERN, "must be letters, digits and inner hyphens, dots or underscores"),
]
Label = Annotated[
    str,
    Field(max_length=63, json_schema_extra={"pattern": LABEL_PATTERN}),
    _matches(
        LABEL_PATTERN,
        "must be a DNS label: at most 63 lower-case letters, digits and inner hyphens",
    ),
]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Port = Annotated[int, Field(ge=1, le=65535), BeforeValidator(as_integer)]
Seconds = Annotated[int, Field(ge=0, le=3600), BeforeValidator(as_integer)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]
Text = Annotated[str, Field(max_length=50_000)]
Link = Annotated[str, Field(max_length=500), AfterValidator(one_line), AfterValidator(_link)]
Subnet = Annotated[str, Field(max_length=50), AfterValidator(_subnet)]
Credential = Annotated[str, Field(max_length=100, repr=False), AfterValidator(one_line)]
Tier = Literal["prod", "ptr", "local"]
GuideType = Literal["markdown", "jupyter"]
ConfigurationType = Literal["python", "ansible", "napalm"]
Cpu = Annotated[str, *_quantity(CPU_PATTERN, "must be cores of CPU, such as 250m or 1.5")]
Memory = Annotated[str, *_quantity(MEMORY_PATTERN, "must be bytes of memory, such as 512Mi or 2Gi")]
EMPTY_IS_ABSENT = BeforeValidator(lambda value: None if value == "" else value)
Tag = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(one_line)]


class FileModel(BaseModel):
    """Part of a file: camel-case keys, and no others."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True
    )
