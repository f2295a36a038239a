"""Small curricula on disk, for tests that change one thing and look what is said of it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from curriculum.tree import Limits
from curriculum.units import LoadedCurriculum
from curriculum.validation import check_curriculum

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
REAL_CURRICULUM = SHARED / "curricula" / "nrelabs-subset"
SAMPLE = Path(__file__).resolve().parents[1] / "curriculum" / "sample"

LESSON = """\
name: {slug} by name
slug: {slug}
category: tools
tier: prod
endpoints:
  - name: linux1
    image: utility
    presentations:
      - name: cli
        port: 22
        type: ssh
stages:
  - description: The only one
"""


def write(folder: Path, name: str, text: str | bytes) -> Path:
    """Write one file below a folder, with the folders that it needs; text is dedented."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def write_lesson(folder: Path, slug: str, *, more: str = "", meta: str = "") -> Path:
    """Write a valid lesson of one stage; ``more`` is added to its file, ``meta`` replaces it."""
    text = textwrap.dedent(meta) or LESSON.format(slug=slug) + textwrap.dedent(more)
    write(folder, f"lessons/{slug}/lesson.meta.yaml", text)
    write(folder, f"lessons/{slug}/stage0/guide.md", f"# {slug}\n")
    return folder / "lessons" / slug


def write_curriculum(folder: Path, *slugs: str) -> Path:
    """Write a valid curriculum: one collection, one image, these lessons."""
    write(folder, "curriculum.meta.yaml", "name: tests\naVer: 0.10\n")
    write(folder, "collections/vendor/collection.meta.yaml", "slug: vendor\ntitle: A vendor\n")
    write(
        folder,
        "images/utility/image.meta.yaml",
        "slug: utility\nsshUser: antidote\nsshPassword: hunter2-of-the-image\n",
    )
    for slug in slugs:
        write_lesson(folder, slug)
    return folder


def check(folder: Path, *, strict: bool = False, limits: Limits | None = None) -> LoadedCurriculum:
    """Read and check a curriculum's folder."""
    return check_curriculum(folder, strict=strict, limits=limits)


def told(folder: Path, *, strict: bool = False, limits: Limits | None = None) -> list[str]:
    """Return what is said of a curriculum, as authors see it."""
    return [problem.render() for problem in check(folder, strict=strict, limits=limits).problems]
