"""The entrance: ``python3 syringe_project/launcher COMMAND``, with any Python.

Run by path, and readable by old interpreters, so that a wrong one gets a sentence.
"""

import os
import shutil
import subprocess
import sys
import types

OLDEST = (3, 11)
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")


def use_newer_python() -> None:
    """Replace this process by one of a Python that is new enough, or say what to install."""
    for name in NAMES:
        path = shutil.which(name)
        # Version managers put names on PATH that answer with an error.
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(path, [path, *sys.argv])
    sys.exit(
        "Syringe needs Python 3.11 or newer and this is {}.{}: install the package python3.11, "
        "or name one with `make PYTHON=/path/to/python3`.".format(*sys.version_info[:2])
    )


def use_project_without_its_init() -> None:
    """Let ``syringe_project.launcher`` be imported where Celery is not installed yet.

    ``syringe_project/__init__.py`` imports Celery and, with it, the settings: neither exists
    before the launcher has done its work.
    """
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  (old interpreters)
    project_package = os.path.dirname(here)  # noqa: PTH120
    sys.path[0] = os.path.dirname(project_package)  # noqa: PTH120
    package = types.ModuleType("syringe_project")
    package.__path__ = [project_package]
    sys.modules["syringe_project"] = package


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        use_newer_python()
    use_project_without_its_init()
    from syringe_project.launcher.commands import main

    sys.exit(main(sys.argv[1:]))
