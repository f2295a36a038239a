"""What the documents say of the settings and the folders is so."""

import re
from pathlib import Path

from syringe_project.environment import Environment
from syringe_project.settings_table import README, with_table

ROOT = Path(__file__).resolve().parents[2]
APPS = ("curriculum", "events", "gateway", "gc", "lessons", "livelessons", "scheduler", "web")


def test_the_readme_lists_every_setting_as_it_is():
    text = README.read_text()

    assert with_table(text) == text


def test_every_setting_says_what_it_is_for():
    undocumented = [n for n, field in Environment.model_fields.items() if not field.description]

    assert undocumented == []


def test_the_environment_is_read_in_one_place():
    reads = re.compile(r"os\.(environ|getenv)")
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in (*APPS, "syringe_project")
        for path in (ROOT / folder).rglob("*.py")
        if reads.search(path.read_text())
    }

    # The launcher makes environments for others, programs of local and of checks run without ours,
    # lessons' own scripts are told their target there, and the rest only name Django's settings
    # module.
    elsewhere = {
        path
        for path in readers
        if not path.startswith(
            (
                "syringe_project/launcher/",
                "scheduler/backends/check_program.py",
                "scheduler/backends/local/",
                "curriculum/sample/",
            )
        )
    }
    assert elsewhere <= {
        "syringe_project/asgi.py",
        "syringe_project/bundle_wsgi.py",
        "syringe_project/celery.py",
        "syringe_project/environment.py",
        "syringe_project/wsgi.py",
    }


def test_links_between_documents_lead_somewhere():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/**/*.md")]
    links = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
    missing = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in links.findall(document.read_text())
        if not (document.parent / target).exists()
    ]

    assert missing == []
