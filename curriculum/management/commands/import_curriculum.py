from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from curriculum.errors import CurriculumChanged, CurriculumInvalid
from curriculum.importer import curriculum_import, limits_from_settings
from curriculum.management.console import problem_lines, progress_bar, summary_lines, verdict
from curriculum.validation import check_curriculum


class Command(BaseCommand):
    """Place a curriculum's folder in the database, whole or not at all."""

    help = "Place a curriculum's folder in the database. The same content again changes nothing."
    # Checks of addresses, pages and backend load most of the project and say nothing of an import.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", help="The folder that holds curriculum.meta.yaml.")
        parser.add_argument(
            "--check", action="store_true", help="Only validate: write nothing, exit 1 on errors."
        )
        parser.add_argument(
            "--skip-invalid",
            action="store_true",
            help="Import what has no errors; what has stays as it is in the database.",
        )
        parser.add_argument("--strict", action="store_true", help="Make errors of warnings.")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="No longer offer what the folder no longer has.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["path"])
        if options["check"]:
            self._check(path, strict=options["strict"])
            return
        try:
            with progress_bar() as progress:
                report = curriculum_import(
                    path=path.absolute(),
                    skip_invalid=options["skip_invalid"],
                    strict=options["strict"],
                    prune=options["prune"],
                    progress=progress,
                )
        except CurriculumInvalid as exc:
            for line in problem_lines(exc.problems, str(path)):
                self.stderr.write(line)
            raise CommandError(
                f"{verdict(exc.problems)[1]} Nothing was imported; --skip-invalid imports the rest."
            ) from exc
        except CurriculumChanged as exc:
            raise CommandError(str(exc)) from exc
        for line in problem_lines(report.problems, str(path)):
            self.stderr.write(line)
        for line in summary_lines(report):
            self.stdout.write(line)

    def _check(self, path: Path, *, strict: bool) -> None:
        with progress_bar() as progress:
            loaded = check_curriculum(
                path, strict=strict, limits=limits_from_settings(), progress=progress
            )
        problems = loaded.problems
        for line in problem_lines(problems, str(path)):
            self.stderr.write(line)
        errors, sentence = verdict(problems)
        if errors:
            raise CommandError(sentence)
        self.stdout.write(sentence)
