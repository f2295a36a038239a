#!/usr/bin/env python
"""Syringe's command line."""

import os
import sys

from django.core.management import execute_from_command_line

# Authors check their curriculum without servers: these commands touch none, so they start
# without the settings that name them.
COMMANDS_WITHOUT_SERVICES = frozenset({"validate_curriculum", "new_lesson", "export_schemas"})

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syringe_project.settings")
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS_WITHOUT_SERVICES:
        os.environ.setdefault("SYRINGE_SECRET_KEY", "unused by commands without services " * 2)
        os.environ.setdefault("SYRINGE_DATABASE_URL", "postgresql://unused.invalid/unused")
        os.environ.setdefault("SYRINGE_REDIS_URL", "redis://unused.invalid")
    execute_from_command_line(sys.argv)
