"""Curriculum and livelessons in the shapes that the existing front end reads.

Empty values are left out, as it has always been served, except where the page needs the key.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from lessons.catalogue import CollectionEntry, CurriculumEntry, EndpointEntry, LessonEntry
from lessons.models import Presentation, Stage
from lessons.specs import GUIDE_ENDPOINT, GUIDE_PRESENTATION, EndpointDict, machines
from livelessons.errors import LiveLessonNotFound
from livelessons.exp.errors import Code, ExpError
from livelessons.exp.ids import exp_id
from livelessons.models import LiveLesson
from livelessons.page_addresses import page_address
from livelessons.selectors import guide_of, running_action_of
from livelessons.states import Action, Desired, State
from livelessons.terminal_tokens import HOST, USER, terminal_token


def _without_empty(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value}


def curriculum_entity(entry: CurriculumEntry) -> dict[str, object]:
    return {
        "Name": entry["name"],
        "Description": entry["description"],
        "Website": entry["website"],
        "AVer": entry["a_ver"],
        "GitRoot": entry["git_root"],
    }


def lesson_listed(entry: LessonEntry) -> dict[str, object]:
    """Return what the list of lessons shows of one."""
    return _without_empty(
        {
            "Slug": entry["slug"],
            "Name": entry["name"],
            "Description": entry["description"],
            "Category": entry["category"],
            "Tier": entry["tier"],
            "Collection": entry["collection"],
            "Tags": entry["tags"],
            "Prereqs": entry["prerequisites"],
            "ShortDescription": entry["short_description"],
        }
    )


def lesson_entity(entry: LessonEntry) -> dict[str, object]:
    return {
        "Stages": [
            _without_empty(
                {
                    "Description": stage["description"],
                    "GuideType": stage["guide_type"],
                    "StageVideo": stage["video"],
                }
            )
            for stage in entry["stages"]
        ],
        **lesson_listed(entry),
        **_without_empty(
            {
                "Endpoints": [_lesson_endpoint(endpoint) for endpoint in entry["endpoints"]],
                "Connections": [
                    _without_empty({"A": link["a"], "B": link["b"], "Subnet": link["subnet"]})
                    for link in entry["connections"]
                ],
                "Authors": [
                    _without_empty({"Name": author["name"], "Link": author["link"]})
                    for author in entry["authors"]
                ],
                "Diagram": entry["diagram"],
                "Video": entry["video"],
                "LessonFile": entry["file"],
                "LessonDir": entry["file"].rpartition("/")[0],
                "ReadyDelay": entry["ready_delay_seconds"],
            }
        ),
    }


def _lesson_endpoint(entry: EndpointEntry) -> dict[str, object]:
    return _without_empty(
        {
            "Name": entry["name"],
            "Image": entry["image"],
            "ConfigurationType": entry["configuration_type"],
            "AdditionalPorts": entry["additional_ports"],
            "Presentations": [
                {"Name": way["name"], "Port": way["port"], "Type": way["type"]}
                for way in entry["presentations"]
            ],
        }
    )


def collection_listed(entry: CollectionEntry) -> dict[str, object]:
    return _without_empty(
        {
            "Slug": entry["slug"],
            "Title": entry["title"],
            "Image": entry["image"],
            "Website": entry["website"],
            "ContactEmail": entry["contact_email"],
            "BriefDescription": entry["brief_description"],
            "LongDescription": entry["long_description"],
            "Type": entry["type"],
            "Tier": entry["tier"],
            "CollectionFile": entry["file"],
        }
    )


def collection_entity(entry: CollectionEntry, lessons: list[LessonEntry]) -> dict[str, object]:
    return collection_listed(entry) | _without_empty(
        {
            "Lessons": [
                _without_empty(
                    {
                        "Slug": lesson["slug"],
                        "Name": lesson["name"],
                        "Description": lesson["description"],
                    }
                )
                for lesson in lessons
            ]
        }
    )


def live_lesson_status(live_lesson: LiveLesson) -> str:
    """Return the state that the page may act on.

    It stops asking at READY, so READY with a wish that the scheduler has not taken up yet is
    not READY here. Raises LiveLessonNotFound for a livelesson that ends, ExpError for a failed
    one.
    """
    if live_lesson.desired == Desired.GONE or live_lesson.state in (
        State.DELETING,
        State.DELETED,
    ):
        raise LiveLessonNotFound
    if live_lesson.state == State.FAILED:
        raise ExpError(
            503,
            Code.OTHER,
            "Livelesson encountered errors during provisioning. See antidote logs",
        )
    if live_lesson.state == State.READY:
        running_action = running_action_of(live_lesson)
        if running_action == Action.RESTART:
            return State.INITIALIZED.value
        if running_action is not None or live_lesson.desired_stage != live_lesson.stage:
            return State.CONFIGURATION.value
    return live_lesson.state


def live_lesson_entity(live_lesson: LiveLesson, *, now: datetime) -> dict[str, object]:
    """Return a livelesson with a terminal password of its own for each of its terminals."""
    status = live_lesson_status(live_lesson)
    guide_type = live_lesson.spec["stages"][live_lesson.stage]["guide_type"]
    jupyter = guide_type == Stage.GuideType.JUPYTER
    return {
        "ID": exp_id(live_lesson.pk),
        "AntidoteID": settings.SYRINGE_INSTANCE,
        "LessonSlug": live_lesson.slug,
        "Status": status,
        "HealthyTests": live_lesson.healthy_tests,
        "TotalTests": live_lesson.total_tests,
        # The page makes its tabs in this order: the lesson file's.
        "LiveEndpoints": {
            endpoint["name"]: _live_endpoint(live_lesson, endpoint, now)
            for endpoint in machines(live_lesson.spec)
        },
        "GuideType": guide_type,
        **_without_empty(
            {
                "CurrentStage": live_lesson.stage,
                "GuideContents": "" if jupyter else guide_of(live_lesson),
                "GuideDomain": page_address(live_lesson, GUIDE_ENDPOINT, GUIDE_PRESENTATION)
                if jupyter
                else "",
            }
        ),
    }


def _live_endpoint(
    live_lesson: LiveLesson, endpoint: EndpointDict, now: datetime
) -> dict[str, object]:
    presentations = endpoint["presentations"]
    ports = [*(way["port"] for way in presentations), *endpoint["additional_ports"]]
    entity: dict[str, Any] = {
        "Name": endpoint["name"],
        "Image": endpoint["image"]["slug"],
        "Ports": list(dict.fromkeys(ports)),
        "Host": HOST,
        "LivePresentations": [],
    }
    for way in presentations:
        shown = {"Name": way["name"], "Port": way["port"], "Type": way["type"]}
        if way["type"] == Presentation.Type.HTTP:
            shown["HepDomain"] = page_address(live_lesson, endpoint["name"], way["name"])
        entity["LivePresentations"].append(shown)
    terminals = [way["port"] for way in presentations if way["type"] == Presentation.Type.SSH]
    if terminals:
        entity["SSHUser"] = USER
        entity["SSHPassword"] = terminal_token(
            live_lesson_id=live_lesson.pk, endpoint=endpoint["name"], ports=terminals, now=now
        )
    return entity
