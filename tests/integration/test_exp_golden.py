"""The existing server's answers, one file per request: Syringe gives the same.

What differs, differs on purpose: statuses (409, 429, 503 and 404 for its 500), bodies of 404 and
405 that are JSON, ids that are secrets, tokens for addresses and passwords, and paths below the
curriculum's folder for absolute ones.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from livelessons.exp.ids import exp_id
from livelessons.models import LiveLesson
from livelessons.states import State
from tests.conftest import endpoint_dict
from tests.integration.offered import collection_from_entity, lesson_from_entity, offer

GOLDEN = Path(__file__).parents[2].parent / "shared" / "contract" / "golden"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/contract/golden is not there"),
]

NOT_APPLICABLE = {
    "02_health_any_single_segment": "only / is asked for health; other addresses are pages or 404",
    "81_swagger_json": "the description is OpenAPI 3 at /api/v1/schema",
    "82_swagger_livesession_json_is_livelesson": "a fault: the wrong document",
    "86_limit_livesession_spoofed_xff": "a fault: a forged header passes the limit; "
    "test_exp_live_lessons.py tests that it does not",
    "91_devmode_livesession_1": "there is no mode in which sessions share one id",
    "92_devmode_livesession_2": "there is no mode in which sessions share one id",
}

STATUSES = {
    "34_livelesson_post_busy_other_stage": 409,
    "41_livelesson_post_dangling_image": 503,
    "49_livelesson_get_bad": 404,
    "85_limit_livesession_3_of_2": 429,
    "89_limit_livelesson_3_of_2": 429,
}

# The seconds that a learner's page is told to wait go into a header beside the golden body.
RETRY_AFTER = {
    "34_livelesson_post_busy_other_stage",
    "41_livelesson_post_dangling_image",
    "85_limit_livesession_3_of_2",
    "89_limit_livelesson_3_of_2",
}

# Go words its JSON errors; what counts is 400, the code 3 and that there is a sentence.
OWN_WORDS = {"25_livesession_post_malformed", "44_livelesson_post_malformed"}

# These answer with an id that was not there before; all others with one that was.
CREATING = {
    "22_livesession_post_empty_body",
    "23_livesession_post_json",
    "29_livelesson_post",
    "56_livelesson_post_ansible",
    "83_limit_livesession_1_of_2",
    "84_limit_livesession_2_of_2",
    "87_limit_livelesson_1_of_2",
    "88_limit_livelesson_2_of_2",
}

SESSIONS = ("paqltpkcsy", "6jc2gcjgof")


def golden(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return data


def golden_names() -> list[str]:
    return sorted(path.stem for path in GOLDEN.glob("*.json"))


def applicable() -> list[str]:
    return [name for name in golden_names() if name not in NOT_APPLICABLE]


class World:
    """The database as it was when the answers were recorded, and what its ids are called now."""

    def __init__(self, make_lesson, make_session, make_live_lesson, settings) -> None:
        self.make_lesson = make_lesson
        self.make_live_lesson = make_live_lesson
        self.settings = settings
        self.names: dict[str, str] = {}
        self.make_session = make_session
        self.session = make_session()
        for session in SESSIONS:
            self.names[session] = self.session.secret

    def curriculum(self) -> None:
        template = self.make_lesson("linux-basics", name="Linux Basics", prerequisites=[])
        self.make_lesson("yaml-introduction")
        for entity in golden("05_collection_list")["response"]["body"]["collections"]:
            collection_from_entity(entity)
        for name in ("12_lesson_one", "14_lesson_one_http_presentation"):
            lesson_from_entity(golden(name)["response"]["body"], template)
        for listed in golden("06_collection_one")["response"]["body"]["Lessons"]:
            if listed["Slug"] != "jsnapy-network-testing":
                self.make_lesson(
                    listed["Slug"],
                    name=listed["Name"],
                    description=listed["Description"],
                    collection="juniper-networks",
                )
        self.make_lesson("ansible-network-automation", prerequisites=["linux-basics"])
        entity = golden("04_curriculum")["response"]["body"]
        offer(
            name=entity["Name"],
            description=entity["Description"],
            website=entity["Website"],
            a_ver=entity["AVer"],
            git_root=entity["GitRoot"],
            version="golden",
        )

    def live(self, name: str, **fields: Any) -> LiveLesson:
        """Make the livelesson that a golden answer shows."""
        entity = golden(name)["response"]["body"]
        shown = entity["LiveEndpoints"].values()
        image = endpoint_dict()["image"]
        lesson = self.make_lesson(
            entity["LessonSlug"],
            stages=2,
            endpoints=[
                endpoint_dict(
                    endpoint["Name"],
                    image=image | {"slug": endpoint["Image"]},
                    additional_ports=[
                        port
                        for port in endpoint["Ports"]
                        if port not in {way["Port"] for way in endpoint["LivePresentations"]}
                    ],
                    presentations=[
                        {"name": way["Name"], "port": way["Port"], "type": way["Type"]}
                        for way in endpoint["LivePresentations"]
                    ],
                )
                for endpoint in shown
            ],
        )
        lesson.stages.filter(position=0).update(guide=entity.get("GuideContents", ""))
        live_lesson = self.make_live_lesson(
            lesson=lesson,
            session=self.session,
            state=State(entity["Status"]),
            total_tests=entity.get("TotalTests", 0),
            healthy_tests=entity.get("HealthyTests", 0),
            **fields,
        )
        self.names[entity["ID"]] = exp_id(live_lesson.pk)
        return live_lesson

    def sessions(self, existing: int) -> None:
        """Have this many sessions of the address that asks, which may have two."""
        self.settings.SYRINGE_SESSIONS_PER_ADDRESS = 2
        for _ in range(existing):
            self.make_session(source_address="127.0.0.1")

    def livelessons(self, *running: str, asked: str) -> None:
        """Have these livelessons in a session that may have two, and another lesson to ask for."""
        self.settings.SYRINGE_LIVELESSONS_PER_SESSION = 2
        for slug in {*running, asked}:
            lesson = self.make_lesson(slug)
            if slug in running:
                live_lesson = self.make_live_lesson(lesson=lesson, session=self.session)
                if slug == "linux-basics":
                    self.names["uavzkx8icq"] = exp_id(live_lesson.pk)


def nothing(world: World) -> None:
    """Only the session is there."""


WORLDS: dict[str, Callable[[World], object]] = {
    **dict.fromkeys(
        [
            "03_antidoteinfo",
            "04_curriculum",
            "05_collection_list",
            "06_collection_one",
            "07_collection_one_no_lessons",
            "08_collection_bad",
            "12_lesson_one",
            "14_lesson_one_http_presentation",
            "16_lesson_bad",
            "17_lesson_prereqs",
            "18_lesson_prereqs_none",
            "19_lesson_prereqs_bad",
            "20_lesson_trailing_slash",
            "77_cors_simple",
        ],
        World.curriculum,
    ),
    "29_livelesson_post": lambda world: world.make_lesson("bash-introduction", stages=2),
    "30_livelesson_get_initialized": lambda w: w.live("30_livelesson_get_initialized"),
    "31_livelesson_post_again_same": lambda w: w.live("30_livelesson_get_initialized"),
    "34_livelesson_post_busy_other_stage": lambda w: w.live("30_livelesson_get_initialized"),
    "38_livelesson_post_no_slug": lambda world: world.make_lesson("bash-introduction"),
    "40_livelesson_post_bad_stage": lambda w: w.live("30_livelesson_get_initialized"),
    "41_livelesson_post_dangling_image": lambda world: world.make_lesson(
        "pentesting-automated", missing_images=["kali"]
    ),
    "52_livelesson_delete": lambda w: w.live("30_livelesson_get_initialized"),
    "53_livelesson_put": lambda w: w.live("30_livelesson_get_initialized"),
    "56_livelesson_post_ansible": lambda w: w.make_lesson("ansible-network-automation"),
    "57_livelesson_get_ansible": lambda w: w.live("57_livelesson_get_ansible"),
    "62_livelesson_get_seed_ready": lambda w: w.live("62_livelesson_get_seed_ready"),
    "63_livelesson_get_seed_boot": lambda w: w.live("63_livelesson_get_seed_boot"),
    "67_livelesson_post_stage_change_ready": lambda w: w.live("62_livelesson_get_seed_ready"),
    "70_livelesson_post_boot_same_stage": lambda w: w.live("63_livelesson_get_seed_boot"),
    "83_limit_livesession_1_of_2": lambda world: world.sessions(0),
    "84_limit_livesession_2_of_2": lambda world: world.sessions(1),
    "85_limit_livesession_3_of_2": lambda world: world.sessions(2),
    "87_limit_livelesson_1_of_2": lambda w: w.livelessons(asked="linux-basics"),
    "88_limit_livelesson_2_of_2": lambda w: w.livelessons(
        "linux-basics", asked="bash-introduction"
    ),
    "89_limit_livelesson_3_of_2": lambda w: w.livelessons(
        "linux-basics", "bash-introduction", asked="python-introduction"
    ),
    "90_limit_livelesson_existing_ok": lambda w: w.livelessons(
        "linux-basics", "bash-introduction", asked="linux-basics"
    ),
}


@pytest.fixture
def world(make_lesson, make_session, make_live_lesson, settings) -> World:
    return World(make_lesson, make_session, make_live_lesson, settings)


def ask(client, request: dict[str, Any], names: dict[str, str]) -> Any:
    def now_called(text: str) -> str:
        for then, now in names.items():
            text = text.replace(then, now)
        return text

    headers = {"Origin": "https://labs.example.org"}
    if request["method"] == "OPTIONS":
        headers["Access-Control-Request-Method"] = "POST"
    return client.generic(
        request["method"],
        now_called(request["path"]),
        now_called(request["body"] or ""),
        content_type="text/plain;charset=UTF-8",
        headers=headers,
    )


def without_zeros(value: Any) -> Any:
    """Drop what the contract lets both sides send or leave out: zeros, at any depth."""
    if isinstance(value, dict):
        kept = {name: without_zeros(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if part not in (0, "", False, None)}
    if isinstance(value, list):
        return [without_zeros(part) for part in value]
    return value


def assert_livelesson(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare two livelessons, of which ours shows tokens and no session."""
    assert list(ours["LiveEndpoints"]) == list(theirs["LiveEndpoints"])
    assert "SessionID" not in ours
    assert ours["AntidoteID"]
    for name in ("ID", "LessonSlug", "GuideContents", "GuideType", "Status"):
        assert ours.get(name, "") == theirs.get(name, ""), name
    for name in ("HealthyTests", "TotalTests", "CurrentStage"):
        assert ours.get(name, 0) == theirs.get(name, 0), name
    for name, endpoint in theirs["LiveEndpoints"].items():
        shown = ours["LiveEndpoints"][name]
        assert [shown[key] for key in ("Name", "Image", "Ports")] == [
            endpoint[key] for key in ("Name", "Image", "Ports")
        ]
        assert shown["Host"]
        assert shown["SSHUser"]
        assert shown["SSHPassword"] != endpoint["SSHPassword"]
        for way, golden_way in zip(
            shown["LivePresentations"], endpoint["LivePresentations"], strict=True
        ):
            assert (way["Name"], way["Port"], way["Type"]) == (
                golden_way["Name"],
                golden_way["Port"],
                golden_way["Type"],
            )


def same_form(ours: Any, theirs: Any) -> Any:
    """Return the golden body with the values that are ours to choose."""
    if "CollectionFile" in theirs:
        theirs |= {"CollectionFile": theirs["CollectionFile"].removeprefix("/curriculum/")}
    for name in ("LessonFile", "LessonDir"):
        if name in theirs:
            theirs |= {name: theirs[name].removeprefix("/curriculum/")}
    if "collections" in theirs:
        theirs["collections"] = [same_form(ours, entity) for entity in theirs["collections"]]
    if "buildSha" in theirs:
        theirs |= {name: ours[name] for name in ("buildSha", "buildVersion") if ours[name]}
    return theirs


def test_every_golden_file_is_used_or_has_its_reason():
    assert set(NOT_APPLICABLE) <= set(golden_names())
    assert {*WORLDS, *STATUSES, *CREATING} <= set(applicable())


@pytest.mark.parametrize("prefix", ["/exp", "/acore/exp"])
@pytest.mark.parametrize("name", applicable() if GOLDEN.is_dir() else [])
def test_the_answer_is_the_golden_one(client, world, name, prefix):
    record = golden(name)
    request, expected = record["request"], record["response"]
    WORLDS.get(name, nothing)(world)
    path = request["path"].replace("/exp", prefix, 1)

    response = ask(client, request | {"path": path}, world.names)

    assert response.status_code == STATUSES.get(name, expected["status"])
    assert response.get("Retry-After", "").isdigit() == (name in RETRY_AFTER)
    if path.startswith(prefix):
        assert response["Access-Control-Allow-Origin"] == "*"
    if request["method"] == "OPTIONS":
        assert response.content == b""
        return
    assert response["Content-Type"] == "application/json"
    text = response.content.decode()
    for then, now in world.names.items():
        text = text.replace(now, then)
    ours = json.loads(text)
    theirs = expected["body"]
    if isinstance(theirs, str):
        # Go answers these as text, which leaves the page without a sentence to show.
        theirs = {"error": theirs.strip(), "code": ours["code"], "message": theirs.strip()}
    if name in OWN_WORDS:
        theirs |= {"error": ours["error"], "message": ours["error"]}
    if name in CREATING:
        assert [(key, len(value) > 20) for key, value in ours.items()] == [(*theirs, True)]
    elif "LiveEndpoints" in theirs:
        assert_livelesson(ours, theirs)
    else:
        assert without_zeros(ours) == without_zeros(same_form(ours, theirs))


def test_a_new_id_opens_its_livelesson(client, world):
    world.make_lesson("bash-introduction", stages=2)
    response = ask(client, golden("29_livelesson_post")["request"], world.names)

    answer = client.get(f"/exp/livelesson/{response.json()['id']}")

    assert answer.status_code == 200
    assert answer.json()["Status"] == "INITIALIZED"
