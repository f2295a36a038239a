from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from curriculum.management.console import problem_lines, progress_bar, verdict
from curriculum.tree import Limits
from curriculum.validation import check_curriculum


class Command(BaseCommand):
    """Tell every problem of a curriculum's folder at once; needs no servers."""

    help = "Tell every problem of a curriculum's folder as file:line: message. Needs no servers."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", help="The folder that holds curriculum.meta.yaml.")
        parser.add_argument("--strict", action="store_true", help="Make errors of warnings.")

    def handle(self, *args: Any, **options: Any) -> None:
        limits = Limits(bundle_bytes=settings.SYRINGE_BUNDLE_MAX_BYTES)
        with progress_bar() as progress:
            loaded = check_curriculum(
                Path(options["path"]), strict=options["strict"], limits=limits, progress=progress
            )
        problems = loaded.problems
        for line in problem_lines(problems, options["path"]):
            self.stdout.write(line)
        errors, sentence = verdict(problems)
        if errors:
            raise CommandError(sentence)
        lessons = len(loaded.lessons)
        self.stdout.write(f"{lessons} lesson{'' if lessons == 1 else 's'}: {sentence}")
