import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from curriculum.schema import FILE_MODELS, json_schema


class Command(BaseCommand):
    """Write the JSON Schemas that editors check and complete curriculum files with."""

    help = "Write a JSON Schema for every kind of curriculum file. Needs no servers."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", help="Where to write them; it is made if need be.")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(options["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        for kind in FILE_MODELS:
            path = folder / f"{kind}.schema.json"
            path.write_text(json.dumps(json_schema(kind), indent=2) + "\n", encoding="utf-8")
            self.stdout.write(str(path))
