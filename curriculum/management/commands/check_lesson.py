import asyncio
import json
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from curriculum.management.rehearsal_console import notices, report_document, show_report
from curriculum.rehearsal_lessons import go_to_stage, rehearsal_lesson
from curriculum.rehearsal_stages import LiveStage
from curriculum.rehearsals import Notify, StageReport, stage_rehearse
from lessons.models import Lesson
from lessons.selectors import current_lesson, stage_solutions
from lessons.specs import stage_objectives
from syringe_project.errors import SyringeError


class Command(BaseCommand):
    """Try a lesson's objectives out on the current backend."""

    help = (
        "Start a lesson and show that every objective fails before anybody has done anything and "
        "passes, twice, after the author's solution. Exits with 1 if that is not so. Needs a "
        "running worker, as `make up` starts one, and the lesson imported."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="The lesson's slug.")
        parser.add_argument("--stage", type=int, help="Only this stage, counted from 0.")
        parser.add_argument(
            "--patience",
            type=float,
            default=20.0,
            metavar="SECONDS",
            help="How long after the solution an objective may take to pass (20).",
        )
        parser.add_argument("--json", action="store_true", help="Print the report as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lesson = current_lesson(options["slug"])
            stages = _stages(lesson, options["stage"])
            with _ended_like_by_hand(), notices() as notify:
                reports = _rehearse(lesson, stages, options["patience"], notify)
        except SyringeError as exc:
            raise CommandError(str(exc).strip()) from exc
        except KeyboardInterrupt:
            raise CommandError("Stopped; the lesson was ended.", returncode=130) from None
        if options["json"]:
            self.stdout.write(json.dumps(report_document(lesson.slug, reports), indent=2))
        else:
            show_report(lesson.slug, reports, self.stdout)
        if not all(report.is_good for report in reports):
            sys.exit(1)


@contextmanager
def _ended_like_by_hand() -> Iterator[None]:
    """Let whoever ends the process, as CI does, have the lesson ended, too."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stages(lesson: Lesson, wanted: int | None) -> list[int]:
    """Return the stages that have objectives, of those that are wanted."""
    number = len(lesson.spec["stages"])
    if wanted is not None and not 0 <= wanted < number:
        raise CommandError(f"{lesson.slug} has the stages 0 to {number - 1}, and no {wanted}.")
    asked = range(number) if wanted is None else [wanted]
    stages = [stage for stage in asked if stage_objectives(lesson.spec, stage)]
    if not stages:
        what = lesson.slug if wanted is None else f"Stage {wanted} of {lesson.slug}"
        raise CommandError(f"{what} has no objectives, so there is nothing to check.")
    return stages


def _rehearse(
    lesson: Lesson, stages: list[int], patience: float, notify: Notify
) -> list[StageReport]:
    reports = []
    with rehearsal_lesson(lesson, stage=stages[0], notify=notify) as live_lesson_id:
        for stage in stages:
            if stage != stages[0]:
                go_to_stage(live_lesson_id, stage, notify=notify)
            running = LiveStage(live_lesson_id, stage)
            reports.append(asyncio.run(_rehearse_stage(lesson, running, stage, patience, notify)))
    return reports


async def _rehearse_stage(
    lesson: Lesson, running: LiveStage, stage: int, patience: float, notify: Notify
) -> StageReport:
    solution = await asyncio.to_thread(stage_solutions, lesson, stage=stage)
    try:
        return await stage_rehearse(
            running,
            stage=stage,
            objectives=stage_objectives(lesson.spec, stage),
            solution=solution,
            patience_seconds=patience,
            notify=notify,
        )
    finally:
        running.close()
