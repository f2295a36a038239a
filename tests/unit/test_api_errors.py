"""Every failure Syringe foresees can be said, sent and answered."""

import importlib
import pickle
import pkgutil
from string import Formatter

import pytest
from django.db import OperationalError
from django.http import Http404
from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated, ParseError

from livelessons.errors import LiveLessonBusy, TooManySessions
from livelessons.exp.errors import exp_error
from syringe_project.api import exception_handler, retry_after_of, status_of
from syringe_project.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    SyringeError,
    TooMany,
    Unavailable,
)
from syringe_project.json_bodies import json_object

PACKAGES = ("lessons", "livelessons", "scheduler", "curriculum", "gateway", "garbage_collector")
STATUSES = {Invalid: 400, Forbidden: 403, NotFound: 404, Conflict: 409, TooMany: 429}
STATUSES[Unavailable] = 503


def _all_errors():
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)
    waiting, found = [SyringeError], []
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return sorted(set(found), key=lambda kind: (kind.__module__, kind.__qualname__))


def _example(kind):
    names = [name for _, name, _, _ in Formatter().parse(kind.template) if name]
    return kind(**dict.fromkeys(names, "something"))


@pytest.mark.parametrize("kind", _all_errors(), ids=lambda kind: kind.__qualname__)
def test_every_error_is_rendered_pickled_and_answered(kind):
    error = _example(kind)

    assert str(error)
    assert "{" not in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.context) == (kind, str(error), error.context)

    answer = exception_handler(error, {})
    expected = next((s for category, s in STATUSES.items() if issubclass(kind, category)), 500)
    assert answer is not None
    assert answer.status_code == status_of(error) == expected
    assert answer.data["detail"] == str(error)
    assert answer.data["code"] == kind.code
    assert exp_error(error).status == expected
    assert exp_error(error).message


def test_codes_tell_errors_apart():
    kinds = [kind for kind in _all_errors() if kind not in (SyringeError, *STATUSES)]
    codes = [kind.code for kind in kinds]

    assert not {kind.code for kind in kinds if codes.count(kind.code) > 1}


def test_busy_names_the_action_and_when_to_ask_again():
    answer = exception_handler(LiveLessonBusy(action="restart", retry_after=7), {})

    assert answer.data["action"] == "restart"
    assert answer["Retry-After"] == "7"


def test_limits_say_when_to_ask_again():
    assert retry_after_of(TooManySessions(limit=1)) == 60


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OperationalError("server closed the connection"), 503, "database_unavailable"),
        (Http404(), 404, "not_found"),
        (MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (NotAuthenticated(), 401, "not_authenticated"),
        (ParseError("bad"), 400, "parse_error"),
    ],
)
def test_other_foreseen_failures_have_the_same_form(error, status, code):
    answer = exception_handler(error, {})

    assert answer.status_code == status
    assert answer.data["code"] == code
    assert isinstance(answer.data["detail"], str)


def test_a_bug_is_left_alone():
    assert exception_handler(KeyError("oops"), {}) is None


@pytest.mark.parametrize("body", [b"", b"  \n", b"null", b"{}"])
def test_nothing_is_an_empty_object(body):
    assert json_object(body) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"text"',
        b"1",
        b"{bad",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_object_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"."):
        json_object(body)
