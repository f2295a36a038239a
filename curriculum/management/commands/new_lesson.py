from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from curriculum.scaffold import LessonExists, LessonNotAllowed, write_lesson


class Command(BaseCommand):
    """Write a valid lesson of one stage and one endpoint, for an author to begin with."""

    help = "Write a small, valid lesson to begin with. Needs no servers."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", help="The folder that holds curriculum.meta.yaml.")
        parser.add_argument("slug", help="What the lesson is named by, such as linux-basics.")
        parser.add_argument("--name", default="", help="What learners see.")
        parser.add_argument("--image", default="utility", help="Image of its endpoint.")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(options["path"])
        if not (folder / "curriculum.meta.yaml").is_file():
            raise CommandError(f"{folder} holds no curriculum.meta.yaml.")
        try:
            paths = write_lesson(
                folder, slug=options["slug"], name=options["name"], image=options["image"]
            )
        except (LessonExists, LessonNotAllowed) as exc:
            raise CommandError(str(exc)) from exc
        for path in paths:
            self.stdout.write(str(path))
