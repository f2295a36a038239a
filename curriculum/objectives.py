"""What a stage's learners are to reach, as authors write it in ``lesson.meta.yaml``."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from curriculum.fields import Boolean, FileModel, Label, Port, as_integer, one_line

KINDS = ("run", "file", "http", "tcp", "output")
LANGUAGES = {".py": "python", ".yml": "ansible"}
"""By suffix: what runs a check that is a file."""

PATTERN_FLAGS = re.MULTILINE
"""How every pattern of an author is searched for."""

_ADDRESS_PATTERN = r"^/[!-~]*$"
_PLACE_PATTERN = r"^[^.]+(\.[^.]+)*$"
FILE_PATTERN = r"^(?!.*(^|/)\.{0,2}(/|$))[^\\]+\.(py|yml)$"


def _pattern(value: str) -> str:
    try:
        re.compile(value, PATTERN_FLAGS)
    except (re.error, OverflowError, RecursionError) as exc:
        raise PydanticCustomError(
            "syringe", "is not a regular expression: {why}", {"why": str(exc)}
        ) from exc
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("syringe", "must not be empty")
    return value


def _shaped(pattern: str, message: str) -> tuple[Any, AfterValidator]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise PydanticCustomError("syringe", "{why}", {"why": message})
        return value

    return Field(json_schema_extra={"pattern": pattern}), AfterValidator(check)


_Sentence = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_not_blank)]
_Script = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_not_blank)]
CompleteMessage = Annotated[str, Field(max_length=2000)]
_Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_pattern)]
_CheckFile = Annotated[
    str,
    Field(max_length=500),
    AfterValidator(one_line),
    *_shaped(
        FILE_PATTERN,
        "must be a path below the lesson's folder that ends in .py (python) or .yml (ansible)",
    ),
]
_Address = Annotated[
    str,
    Field(max_length=2000),
    *_shaped(_ADDRESS_PATTERN, "must begin with / and hold no spaces, as in /status?format=json"),
]
_Place = Annotated[
    str,
    Field(max_length=200),
    AfterValidator(one_line),
    *_shaped(_PLACE_PATTERN, "must be keys and indexes with dots between, as in items.0.name"),
]
_Timeout = Annotated[int, Field(ge=1, le=120), BeforeValidator(as_integer)]
_Interval = Annotated[int, Field(ge=1, le=300), BeforeValidator(as_integer)]
_Status = Annotated[int, Field(ge=100, le=599), BeforeValidator(as_integer)]
_Failures = Annotated[int, Field(ge=1, le=1000), BeforeValidator(as_integer)]
_Minutes = Annotated[int, Field(ge=1, le=1440), BeforeValidator(as_integer)]


class JsonEntry(FileModel):
    """What the answer says at one place, when it is read as JSON."""

    path: _Place = Field(description="Where: keys and indexes with dots between, as items.0.name.")
    equals: Annotated[str, Field(max_length=1000)] = Field(
        description="What a text there is, or how JSON writes what is no text: 3, true, null.",
        json_schema_extra={"type": ["string", "number", "boolean"]},
    )


class HttpEntry(FileModel):
    """Passes when a web server answers as described."""

    port: Port | None = Field(
        default=None, description="Left out: that of the endpoint's first web page."
    )
    path: _Address = Field(default="/", description="What is asked for, with its query.")
    status: _Status = Field(default=200, description="The answer's number.")
    body: _Pattern | None = Field(
        default=None, description="A regular expression that is found in the answer."
    )
    json_value: JsonEntry | None = Field(
        default=None, alias="json", description="What the answer says at one place."
    )


class TcpEntry(FileModel):
    """Passes when a port accepts a connection."""

    port: Port = Field(description="Port of the endpoint.")


class OutputEntry(FileModel):
    """Passes when a command prints what it should, whatever its exit status."""

    command: _Script = Field(description="What the shell on the endpoint runs.")
    matches: _Pattern = Field(
        description="A regular expression that is found in the output; ^ and $ match at lines."
    )


class CheckEntry(FileModel):
    """How it is found out whether an objective is reached: one of five ways."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]})

    run: _Script | None = Field(
        default=None,
        description="A shell script on the endpoint. Exit 0 passes; the last line that it prints "
        "is what learners read.",
    )
    file: _CheckFile | None = Field(
        default=None,
        description="A python script or ansible playbook below the lesson's folder, run beside the "
        "endpoint as configurations are. Passes when it succeeds.",
    )
    http: HttpEntry | None = Field(default=None, description="What a web server answers.")
    tcp: TcpEntry | None = Field(default=None, description="A port that accepts connections.")
    output: OutputEntry | None = Field(default=None, description="What a command prints.")
    endpoint: Label | None = Field(
        default=None,
        description="Where. Left out: the first with a terminal; for http the first with a web "
        "page, for tcp the first.",
    )
    timeout: _Timeout = Field(default=10, description="Seconds that one check may take.")
    interval: _Interval = Field(default=2, description="Seconds between the first checks.")

    @property
    def kind(self) -> str:
        """Which of the five it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise PydanticCustomError(
                "syringe", "must have exactly one of run, file, http, tcp and output"
            )
        return self


class HintEntry(FileModel):
    """A help for learners who are stuck, shown as soon as one of its conditions holds."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["afterFailures"]}, {"required": ["afterMinutes"]}]
        }
    )

    text: _Sentence = Field(description="What learners read.")
    after_failures: _Failures | None = Field(
        default=None, description="Shown when so many checks have failed."
    )
    after_minutes: _Minutes | None = Field(
        default=None, description="Shown so long after the objective could be reached."
    )

    @model_validator(mode="after")
    def _has_condition(self) -> Self:
        if self.after_failures is None and self.after_minutes is None:
            raise PydanticCustomError("syringe", "needs afterFailures or afterMinutes")
        return self


class ObjectiveEntry(FileModel):
    """One thing to reach in a stage, checked while the learner works."""

    slug: Label = Field(description="What others name it by; unique in its stage.")
    description: _Sentence = Field(description="What learners are to do.")
    optional: Boolean = Field(default=False, description="Does not count for the stage.")
    mode: Literal["edge", "level"] = Field(
        default="edge", description="Once passed, edge stays passed; level may be lost again."
    )
    needs: list[Label] = Field(
        default=[], max_length=50, description="Slugs of the stage's objectives that come before."
    )
    hints: list[HintEntry] = Field(
        default=[], max_length=20, description="Shown to learners who are stuck."
    )
    check: CheckEntry = Field(description="How it is found out whether it is reached.")


class VerificationEntry(FileModel):
    """The older form: stageN/objectives/objectiveK.py checks the K-th text, K from 1."""

    objectives: list[_Sentence] = Field(
        min_length=1, max_length=50, description="What learners are to do."
    )
    complete_message: CompleteMessage = Field(
        default="", description="As the stage's completeMessage."
    )
