"""A lesson rehearsed with every check as it is and emptied, in the environment of a stack.

Emptying is what an author's slip of the hand might do: a script, a file or a pattern with nothing
in it. Mostly it shows at once, because the check passes on the untouched stage. Where it does not,
since something has to be there before the pattern matters, a near miss shows it.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from curriculum.rehearsal_lessons import go_to_stage, rehearsal_lesson
from curriculum.rehearsal_stages import LiveStage
from curriculum.rehearsals import Outcome, stage_rehearse
from lessons.models import Lesson
from lessons.selectors import current_lesson, stage_solutions
from lessons.specs import CheckDict, ObjectiveDict, stage_objectives

_ANOTHER_SERVER = """
pkill -f clock.py
cd
nohup python3 -m http.server 9000 >/dev/null 2>&1 </dev/null &
until python3 -c "import urllib.request; urllib.request.urlopen('http://localhost:9000/')"; do
  sleep 0.1
done 2>/dev/null
"""
NEAR_MISSES = {
    ("first-web-page", "about"): ("web", ": > ~/www/about.html"),
    ("first-web-page", "links"): ("web", "sed -i 's/bold/normal/' ~/www/style.css"),
    ("two-machines", "data"): ("server", """echo '{"open": false}' > ~/status.json"""),
    ("two-machines", "clock"): ("server", _ANOTHER_SERVER),
}
"""By lesson and objective: what a learner may do after the solution that does not reach it."""


def copy_with_empty_files(sample: Path, target: Path) -> Path:
    """Copy a curriculum and give every lesson checks without content."""
    shutil.copytree(sample, target)
    for meta in target.glob("lessons/*/lesson.meta.yaml"):
        (meta.parent / "checks").mkdir(exist_ok=True)
        for name in ("empty.py", "empty.yml"):
            (meta.parent / "checks" / name).touch()
    return target


def emptied(check: CheckDict) -> Iterator[CheckDict]:
    """Yield the check with its content, or a part of that, taken away."""
    match check["kind"]:
        case "run":
            yield {**check, "script": ":"}
        case "output":
            yield {**check, "command": ":"}
            yield {**check, "matches": ""}
        case "file":
            suffix = check["path"].rpartition(".")[2]
            yield {**check, "path": f"checks/empty.{suffix}"}
        case "http":
            yield {**check, "body": "", "json": None}
            yield {**check, "body": "", "json": None, "path": "/", "status": 200}
        case "tcp":
            # There is only its port, which no lesson may leave out.
            pass


def main(slug: str) -> None:
    """Print by stage and objective what is wrong with it, as it is and emptied."""
    lesson = current_lesson(slug)
    found = {}
    with rehearsal_lesson(lesson, stage=0, notify=lambda text: None) as live_lesson_id:
        for stage in range(len(lesson.spec["stages"])):
            if stage:
                go_to_stage(live_lesson_id, stage, notify=lambda text: None)
            found[stage] = asyncio.run(_rehearse(lesson, LiveStage(live_lesson_id, stage), stage))
    print(json.dumps(found))


async def _rehearse(lesson: Lesson, running: LiveStage, stage: int) -> dict[str, Any]:
    originals = stage_objectives(lesson.spec, stage)
    variants = {
        objective["slug"]: [
            cast(
                "ObjectiveDict",
                {**objective, "slug": f"{objective['slug']}-emptied-{number}", "check": check},
            )
            for number, check in enumerate(emptied(objective["check"]))
        ]
        for objective in originals
    }
    everything = [*originals, *(one for ones in variants.values() for one in ones)]
    try:
        report = await stage_rehearse(
            running,
            stage=stage,
            objectives=everything,
            solution=await asyncio.to_thread(stage_solutions, lesson, stage=stage),
            # Emptied checks that never pass are waited for, and proper ones pass soon.
            patience_seconds=10,
            notify=lambda text: None,
        )
        problems = {one.objective["slug"]: list(one.problems) for one in report.objectives}
        for objective in originals:
            slug = objective["slug"]
            if (lesson.slug, slug) not in NEAR_MISSES:
                continue
            wrong = await running.solve(*NEAR_MISSES[lesson.slug, slug])
            assert not wrong, wrong
            for one in (objective, *variants[slug]):
                answer = await running.ask(one, {})
                if answer.outcome != Outcome.FAILED:
                    problems[one["slug"]].append(f"{answer.outcome.value} after a near miss")
    finally:
        running.close()
    return {
        slug: {"itself": problems[slug], "emptied": [problems[one["slug"]] for one in ones]}
        for slug, ones in variants.items()
    } | {"": {"itself": report.problems, "emptied": []}}
