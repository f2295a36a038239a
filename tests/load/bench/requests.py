"""The requests that are measured, as data that wrk, a client and a test client can each send."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Shown = Mapping[str, Any]
"""One livelesson, as ``population.populate`` returns it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    secret: str = field(default="", repr=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "path": self.path,
            "body": self.body,
            "secret": self.secret,
        }


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request. ``share`` is what it must reach of the bare view's requests a second;
    ``queries`` how many it may make.
    """

    name: str
    ask: Callable[[Shown], Ask]
    share: float
    queries: int = 2


def _v1(method: str, path: str, shown: Shown, body: Mapping[str, Any] | None = None) -> Ask:
    return Ask(method, f"/api/v1/{path}", body, secret=shown["secret"])


BARE = Kind("bare one-query view", lambda shown: Ask("GET", f"/bare/{shown['id']}"), share=1)

ONE = (
    Kind("GET exp livelesson", lambda s: Ask("GET", f"/exp/livelesson/{s['exp_id']}"), 0.5),
    Kind("GET v1 livelesson", lambda s: _v1("GET", f"livelessons/{s['id']}", s), 0.5),
)
EXISTING = (
    Kind(
        "POST exp livelesson, existing",
        lambda s: Ask(
            "POST",
            "/exp/livelesson",
            {"sessionId": s["secret"], "lessonSlug": s["slug"], "lessonStage": 0},
        ),
        0.25,
    ),
    Kind(
        "POST v1 livelesson, existing",
        lambda s: _v1("POST", "livelessons", s, {"lesson": s["slug"]}),
        0.25,
    ),
)
LESSONS = (
    Kind("GET exp lesson", lambda s: Ask("GET", f"/exp/lesson/{s['slug']}"), 0.5),
    Kind("GET v1 lesson", lambda s: _v1("GET", f"lessons/{s['slug']}", s), 0.5),
    Kind("GET exp list of 25 lessons", lambda s: Ask("GET", "/exp/lesson"), 0.4),
    Kind("GET v1 list of 25 lessons", lambda s: _v1("GET", "lessons", s), 0.4),
)


def asks(kind: Kind, known: Sequence[Shown]) -> list[Ask]:
    """Return the requests of a kind for each of the livelessons."""
    return [kind.ask(shown) for shown in known]
