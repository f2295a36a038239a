"""Which files of a lesson's folder only jobs get."""

import pytest

from curriculum.rows import lesson_spec as lesson_row
from scheduler.specs import lesson_spec
from tests.curricula import SAMPLE, check


@pytest.mark.parametrize(
    ("slug", "hidden"),
    [
        ("shell-first-steps", ()),
        ("first-web-page", ("checks/style.yml",)),
        ("two-machines", ("checks/setting.py",)),
    ],
)
def test_files_that_judge_are_hidden(slug: str, hidden: tuple[str, ...]) -> None:
    loaded = check(SAMPLE)
    (unit,) = (unit for unit in loaded.lessons if unit.slug == slug)
    images = {image.slug: image.definition for image in loaded.images}

    row = lesson_row(unit, images, digest="0" * 64, bundle_sha256="0" * 64)  # type: ignore[arg-type]

    assert lesson_spec(row).hidden == hidden


def test_livelessons_of_the_time_before_objectives_hide_nothing() -> None:
    loaded = check(SAMPLE)
    images = {image.slug: image.definition for image in loaded.images}
    row = lesson_row(loaded.lessons[0], images, digest="0" * 64, bundle_sha256="0" * 64)  # type: ignore[arg-type]
    for stage in row["stages"]:
        stage.pop("objectives", None)

    assert lesson_spec(row).hidden == ()
