import hashlib
import io
import pickle
import tarfile
import threading

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max

from curriculum.errors import CurriculumChanged, CurriculumInvalid
from curriculum.importer import curriculum_import
from lessons.models import Bundle, Collection, CurrentLesson, Curriculum, Image, Lesson
from lessons.selectors import stage_solutions
from lessons.specs import stage_objectives
from scheduler.backends.base import ResourceSpec
from scheduler.services import lesson_start
from scheduler.specs import lesson_spec
from tests.curricula import (
    LESSON,
    REAL_CURRICULUM,
    SAMPLE,
    write,
    write_curriculum,
    write_lesson,
)
from tests.load.generate_curriculum import generate_curriculum
from tests.waiting import FOR_EVER, PATIENCE, wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path):
    return write_curriculum(tmp_path / "curriculum", "a", "b")


def current(slug: str) -> Lesson:
    return Lesson.objects.get(current__slug=slug)


def everything() -> dict[str, list]:
    """Return the content of every table that an import writes to."""
    return {
        model.__name__: list(model.objects.order_by("pk").values())
        for model in (Curriculum, Collection, Image, Bundle, Lesson, CurrentLesson)
    }


def test_a_lesson_is_placed_whole(folder):
    write_lesson(
        folder,
        "whole",
        meta="""\
        name: The whole
        slug: whole
        category: tools
        tier: ptr
        collection: vendor
        description: Long.
        shortDescription: Short
        prereqs: [b, a]
        tags: [one, two]
        diagram: https://example.org/d.png
        video: https://example.org/v
        readyDelay: 20
        authors:
          - name: Ada
            link: https://example.org/ada
        endpoints:
          - name: z-last
            image: utility
            configurationType: python
            additionalPorts: [830, 831]
            presentations:
              - {name: cli, port: 22, type: ssh}
              - {name: web, port: 8080, type: http}
          - name: a-first
            image: unknown
        connections:
          - {a: z-last, b: a-first, subnet: 10.1.0.0/24}
          - {a: a-first, b: z-last}
        stages:
          - description: Read
            stageVideo: https://example.org/s
          - description: Compute
            guideType: jupyter
        """,
    )
    write(folder, "lessons/whole/stage1/guide.ipynb", '{"cells": []}')
    for stage in (0, 1):
        write(folder, f"lessons/whole/stage{stage}/configs/z-last.py", "print()")

    report = curriculum_import(path=folder)

    assert sorted(report.lessons.added) == ["a", "b", "whole"]
    lesson = current("whole")
    assert {
        name: getattr(lesson, name)
        for name in ("name", "category", "tier", "collection", "description", "file", "video")
    } == {
        "name": "The whole",
        "category": "tools",
        "tier": "ptr",
        "collection": "vendor",
        "description": "Long.",
        "file": "lessons/whole/lesson.meta.yaml",
        "video": "https://example.org/v",
    }
    assert (lesson.short_description, lesson.diagram) == ("Short", "https://example.org/d.png")
    assert (lesson.prerequisites, lesson.tags) == (["b", "a"], ["one", "two"])
    assert lesson.authors == [{"name": "Ada", "link": "https://example.org/ada"}]
    assert (lesson.missing_images, lesson.ready_delay_seconds) == (["unknown"], 20)
    assert list(
        lesson.stages.values_list("position", "description", "guide_type", "guide", "video")
    ) == [
        (0, "Read", "markdown", "# whole\n", "https://example.org/s"),
        (1, "Compute", "jupyter", '{"cells": []}', ""),
    ]
    assert [
        (e.name, e.image, e.configuration_type, e.additional_ports, e.presentations.count())
        for e in lesson.endpoints.all()
    ] == [("z-last", "utility", "python", [830, 831], 2), ("a-first", "unknown", "", [], 0)]
    assert list(lesson.connections.values_list("a", "b", "subnet")) == [
        ("z-last", "a-first", "10.1.0.0/24"),
        ("a-first", "z-last", ""),
    ]


def test_the_spec_is_what_the_scheduler_reads(folder):
    curriculum_import(path=folder)
    lesson = current("a")

    spec = lesson_spec(lesson.spec)

    assert (spec.slug, spec.digest, spec.bundle_sha256) == ("a", lesson.digest, lesson.bundle_id)
    assert [endpoint.name for endpoint in spec.endpoints] == ["linux1"]
    assert spec.endpoints[0].image.ssh_user == "antidote"
    assert spec.endpoints[0].image.ssh_password == "hunter2-of-the-image"
    assert spec.endpoints[0].ports == (22,)
    assert len(spec.stages) == 1


OBJECTIVES = """\
    completeMessage: All done.
    gate: true
    objectives:
      - slug: notes
        description: Make notes.txt
        hints: [{text: Use a shell, afterFailures: 3}]
        check: {run: test -f notes.txt}
"""


def test_objectives_are_in_the_spec_and_their_answers_nowhere_else(folder, client):
    write(folder, "lessons/a/stage0/solve/linux1.sh", "touch notes.txt\n")
    write_lesson(folder, "a", meta=LESSON.format(slug="a") + OBJECTIVES)
    curriculum_import(path=folder)
    lesson = current("a")

    (objective,) = stage_objectives(lesson.spec, 0)
    assert objective["check"]["script"] == "test -f notes.txt"
    assert stage_solutions(lesson, stage=0) == {"linux1": "touch notes.txt\n"}
    with tarfile.open(fileobj=io.BytesIO(bytes(lesson.bundle.content))) as archive:
        assert [entry.name for entry in archive if entry.isfile()] == ["stage0/guide.md"]
    answer = client.get("/api/v1/lessons/a")
    assert answer.json()["stages"] == [
        {
            "description": "The only one",
            "guide_type": "markdown",
            "video": "",
            "objectives": [
                {"slug": "notes", "description": "Make notes.txt", "optional": False, "needs": []}
            ],
            "gate": True,
        }
    ]
    for path in ("api/v1/lessons/a", "exp/lesson/a"):
        text = client.get(f"/{path}").content.decode()
        assert "test -f" not in text
        assert "Use a shell" not in text
        assert "touch" not in text


def test_a_changed_solution_is_a_new_version(folder):
    write(folder, "lessons/a/stage0/solve/linux1.sh", "true\n")
    curriculum_import(path=folder)
    write(folder, "lessons/a/stage0/solve/linux1.sh", "false\n")

    report = curriculum_import(path=folder)

    assert report.lessons.changed == ["a"]
    assert stage_solutions(current("a"), stage=0) == {"linux1": "false\n"}


def test_the_bundle_holds_the_folder(folder):
    write(folder, "lessons/a/stage0/picture.png", b"\x89PNG\0")
    curriculum_import(path=folder)
    bundle = current("a").bundle
    content = bytes(bundle.content)

    assert hashlib.sha256(content).hexdigest() == bundle.sha256
    assert len(content) == bundle.size
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.extractfile("stage0/picture.png").read() == b"\x89PNG\0"
        assert "lesson.meta.yaml" in archive.getnames()


def test_the_same_content_changes_nothing(folder):
    curriculum_import(path=folder)
    before = everything()

    report = curriculum_import(path=folder)

    assert everything() == before
    assert not report.changed
    assert sorted(report.lessons.unchanged) == ["a", "b"]
    assert report.collections.unchanged == ["vendor"]
    assert report.images.unchanged == ["utility"]


def test_a_copy_elsewhere_is_the_same_content(folder, tmp_path):
    curriculum_import(path=folder)
    revision = Curriculum.objects.get().revision
    moved = folder.rename(tmp_path / "elsewhere")

    report = curriculum_import(path=moved)

    assert (report.changed, report.revision) == (False, revision)
    assert Curriculum.objects.get().path == str(moved)


def test_a_lesson_that_moves_inside_the_folder_is_the_same_lesson(folder):
    curriculum_import(path=folder)
    before = current("a")
    (folder / "lessons/tools").mkdir()
    (folder / "lessons/a").rename(folder / "lessons/tools/a")

    report = curriculum_import(path=folder)

    assert not report.changed
    assert current("a").pk == before.pk
    assert current("a").file == "lessons/tools/a/lesson.meta.yaml"


def test_a_changed_lesson_is_a_new_version_and_the_old_one_stays_as_it_was(folder):
    first = curriculum_import(path=folder)
    old = Lesson.objects.filter(current__slug="a")
    before, other = old.values().get(), current("b").pk
    write(folder, "lessons/a/stage0/guide.md", "# Better\n")

    report = curriculum_import(path=folder)

    assert (report.lessons.changed, report.lessons.unchanged) == (["a"], ["b"])
    assert report.revision == first.revision + 1
    assert current("a").stages.get().guide == "# Better\n"
    assert current("a").pk != before["id"]
    assert current("b").pk == other
    after = Lesson.objects.filter(pk=before["id"]).values().get()
    assert after.pop("replaced_at") is not None
    assert after == {name: value for name, value in before.items() if name != "replaced_at"}


def test_going_back_means_the_old_version_again(folder):
    curriculum_import(path=folder)
    first = current("a").pk
    guide = folder / "lessons/a/stage0/guide.md"
    text = guide.read_text()
    guide.write_text("# Other\n")
    curriculum_import(path=folder)
    guide.write_text(text)

    report = curriculum_import(path=folder)

    assert report.lessons.changed == ["a"]
    assert current("a").pk == first
    assert Lesson.objects.filter(slug="a").count() == 2
    assert Curriculum.objects.get().revision == 3


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("lessons/a/stage0/extra.txt", "x"),
        ("images/utility/image.meta.yaml", "slug: utility\nflavor: trusted\n"),
        ("collections/vendor/collection.meta.yaml", "slug: vendor\ntitle: Renamed\n"),
        ("curriculum.meta.yaml", "name: renamed\n"),
    ],
)
def test_every_change_is_a_new_revision(folder, file, text):
    first = curriculum_import(path=folder)
    version = Curriculum.objects.get().version
    write(folder, file, text)

    report = curriculum_import(path=folder)

    assert (report.changed, report.revision) == (True, first.revision + 1)
    assert Curriculum.objects.get().version != version


def test_an_image_is_part_of_every_lesson_that_uses_it(folder):
    curriculum_import(path=folder)
    write(folder, "images/utility/image.meta.yaml", "slug: utility\nenableForwarding: yes\n")

    report = curriculum_import(path=folder)

    assert sorted(report.lessons.changed) == ["a", "b"]
    assert report.images.changed == ["utility"]
    assert current("a").spec["endpoints"][0]["image"]["enable_forwarding"] is True


def test_resources_of_an_image_reach_what_backends_read(folder):
    curriculum_import(path=folder)
    before = current("a").digest
    resources = "requests: {cpu: 250m}\n  limits: {cpu: 2, memory: 1Gi}"
    write(folder, "images/utility/image.meta.yaml", f"slug: utility\nresources:\n  {resources}\n")

    report = curriculum_import(path=folder)

    written = {"requests": {"cpu": "250m"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    assert Image.objects.get(slug="utility").resources == written
    assert report.images.changed == ["utility"]
    lesson = current("a")
    assert lesson.digest != before
    assert lesson.spec["endpoints"][0]["image"]["resources"] == written
    assert lesson_spec(lesson.spec).endpoints[0].image.resources == ResourceSpec(
        cpu_request="250m", cpu_limit="2", memory_limit="1Gi"
    )
    assert not curriculum_import(path=folder).changed


def test_lessons_from_before_resources_are_read_and_replaced(folder, make_session):
    curriculum_import(path=folder)
    lesson = current("a")
    # As the importer's format 1 left them, in lessons and in what runs.
    del lesson.spec["endpoints"][0]["image"]["resources"]
    lesson.digest = "1" * 64
    lesson.save()
    running = lesson_start(session=make_session(), slug="a").live_lesson

    assert lesson_spec(running.spec).endpoints[0].image.resources == ResourceSpec()
    report = curriculum_import(path=folder)

    assert report.lessons.changed == ["a"]
    assert current("a").spec["endpoints"][0]["image"]["resources"] == {}
    running.refresh_from_db()
    assert running.lesson_id == lesson.pk


def test_images_from_before_resources_have_none(transactional_db):
    executor = MigrationExecutor(connection)
    executor.migrate([("lessons", "0001_initial")])
    try:
        old = executor.loader.project_state([("lessons", "0001_initial")]).apps
        old.get_model("lessons", "Image").objects.create(slug="old", file="images/old")
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())

    assert Image.objects.get(slug="old").resources == {}


def test_an_image_that_is_defined_later_makes_the_lesson_startable(folder):
    image = folder / "images/utility/image.meta.yaml"
    text = image.read_text()
    image.unlink()
    curriculum_import(path=folder)
    assert current("a").missing_images == ["utility"]
    image.write_text(text)

    curriculum_import(path=folder)

    assert current("a").missing_images == []


def test_lessons_with_the_same_files_share_a_bundle(folder):
    write(folder, "images/other/image.meta.yaml", "slug: other\n")
    curriculum_import(path=folder)
    bundle = current("a").bundle_id
    write(folder, "images/utility/image.meta.yaml", "slug: utility\nflavor: trusted\n")

    curriculum_import(path=folder)

    assert current("a").bundle_id == bundle
    assert Lesson.objects.filter(bundle_id=bundle).count() == 2


def test_errors_mean_that_nothing_is_written(folder):
    curriculum_import(path=folder)
    before = everything()
    write(folder, "lessons/a/stage0/guide.md", "# New\n")
    write_lesson(folder, "b", more="prereqs: [nobody]\n")

    with pytest.raises(CurriculumInvalid) as caught:
        curriculum_import(path=folder)

    assert everything() == before
    assert [p.message for p in caught.value.problems] == ["prerequisite 'nobody' does not exist"]
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.problems) == (str(caught.value), caught.value.problems)


def test_skipping_leaves_the_last_good_version_and_imports_the_rest(folder):
    write_lesson(folder, "c", more="prereqs: [b]\n")
    curriculum_import(path=folder)
    good = current("b").pk
    write(folder, "lessons/a/stage0/guide.md", "# New\n")
    write_lesson(folder, "b", more="prereqs: [nobody]\n")

    report = curriculum_import(path=folder, skip_invalid=True, prune=True)

    assert report.lessons.changed == ["a"]
    assert sorted(report.lessons.refused) == ["b", "c"]
    assert report.lessons.removed == []
    assert current("b").pk == good
    assert current("a").stages.get().guide == "# New\n"
    assert any("prerequisite 'b' is refused" in p.message for p in report.problems)


def test_a_curriculum_file_with_errors_is_not_skipped(folder):
    write(folder, "curriculum.meta.yaml", "title: no name\n")

    with pytest.raises(CurriculumInvalid):
        curriculum_import(path=folder, skip_invalid=True)

    assert not Curriculum.objects.exists()


@pytest.mark.parametrize("prune", [False, True])
def test_what_the_folder_no_longer_has_goes_only_when_asked(folder, prune):
    curriculum_import(path=folder)
    (folder / "lessons/a").rename(folder / "attic")
    (folder / "collections/vendor").rename(folder / "old-vendor")

    report = curriculum_import(path=folder, prune=prune)

    gone = (["a"], ["vendor"])
    kept, removed = ([], []), gone
    if not prune:
        kept, removed = removed, kept
    assert (report.lessons.kept, report.collections.kept) == kept
    assert (report.lessons.removed, report.collections.removed) == removed
    assert report.changed is prune
    assert CurrentLesson.objects.filter(slug="a").exists() is not prune
    assert Lesson.objects.filter(slug="a").exists()


def test_pruning_spares_what_cannot_be_read_and_what_it_needs(folder):
    write_lesson(folder, "c", more="prereqs: [b]\ncollection: vendor\n")
    curriculum_import(path=folder)
    write(folder, "lessons/c/lesson.meta.yaml", b"\xff\xff")
    (folder / "lessons/b").rename(folder / "attic-b")
    (folder / "lessons/a").rename(folder / "attic-a")
    (folder / "collections/vendor").rename(folder / "attic-vendor")

    report = curriculum_import(path=folder, skip_invalid=True, prune=True)

    assert report.lessons.refused == ["lessons/c/lesson.meta.yaml"]
    assert report.lessons.removed == ["a"]
    assert report.lessons.kept == ["b"]
    assert report.collections.kept == ["vendor"]
    assert sorted(CurrentLesson.objects.values_list("slug", flat=True)) == ["b", "c"]


def test_a_folder_that_cannot_be_searched_prunes_nothing_below_it(folder, tmp_path):
    curriculum_import(path=folder)
    (folder / "lessons").rename(tmp_path / "elsewhere")
    (folder / "lessons").symlink_to(tmp_path / "elsewhere")

    report = curriculum_import(path=folder, skip_invalid=True, prune=True)

    assert report.lessons.removed == []
    assert CurrentLesson.objects.count() == 2


def test_a_folder_that_changes_meanwhile_is_not_imported(folder):
    def meddle(step: str, done: int, total: int) -> None:
        if step == "Writing lessons" and done == 1:
            write(folder, "lessons/b/stage0/guide.md", "# Meddled\n")

    with pytest.raises(CurriculumChanged) as caught:
        curriculum_import(path=folder, progress=meddle)

    assert str(caught.value).startswith("lessons/b/lesson.meta.yaml changed while")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert not Lesson.objects.exists()
    assert not Curriculum.objects.exists()


def test_a_bundle_over_the_limit_is_refused(folder, settings):
    settings.SYRINGE_BUNDLE_MAX_BYTES = 2048
    write(folder, "lessons/a/noise", hashlib.shake_128(b"").digest(5000))

    report = curriculum_import(path=folder, skip_invalid=True)

    assert (report.lessons.refused, report.lessons.added) == (["a"], ["b"])


def test_progress_ends_where_it_says(folder):
    seen: dict[str, list[tuple[int, int]]] = {}

    def show(step: str, done: int, total: int) -> None:
        seen.setdefault(step, []).append((done, total))

    curriculum_import(path=folder, progress=show)

    assert seen == {
        "Reading lessons": [(0, 2), (1, 2), (2, 2)],
        "Writing lessons": [(0, 2), (1, 2), (2, 2)],
    }


def test_the_sample_is_imported():
    report = curriculum_import(path=SAMPLE, strict=True)

    assert report.problems == []
    assert len(report.lessons.added) >= 3
    assert all(lesson_spec(lesson.spec).endpoints for lesson in Lesson.objects.all())
    assert not Lesson.objects.exclude(missing_images=[]).exists()


def test_batches_are_complete(tmp_path):
    generate_curriculum(tmp_path, lessons=120)

    report = curriculum_import(path=tmp_path)

    assert (report.problems, len(report.lessons.added)) == ([], 120)
    assert CurrentLesson.objects.count() == 120
    assert not Lesson.objects.filter(stages=None).exists()
    assert not Lesson.objects.filter(endpoints=None).exists()
    assert not curriculum_import(path=tmp_path).changed


def test_an_unchanged_import_asks_little(tmp_path, django_assert_max_num_queries):
    generate_curriculum(tmp_path, lessons=25)
    curriculum_import(path=tmp_path)

    with django_assert_max_num_queries(25):
        curriculum_import(path=tmp_path, prune=True)


@pytest.mark.skipif(not REAL_CURRICULUM.is_dir(), reason=f"no {REAL_CURRICULUM.name} beside it")
def test_the_real_curriculum_is_imported():
    with pytest.raises(CurriculumInvalid):
        curriculum_import(path=REAL_CURRICULUM)

    report = curriculum_import(path=REAL_CURRICULUM, skip_invalid=True)

    assert (len(report.lessons.added), len(report.lessons.refused)) == (7, 3)
    assert (Collection.objects.count(), Image.objects.count()) == (6, 14)
    assert Lesson.objects.exclude(missing_images=[]).get().slug == "openconfig-vendor-neutral"
    assert Curriculum.objects.get().a_ver == "0.6.0"
    pyez = current("pyez-junos-automation")
    assert lesson_spec(pyez.spec).stages[4].configurations == {
        "vqfx": "stage4/configs/vqfx-junos.txt"
    }
    assert not curriculum_import(path=REAL_CURRICULUM, skip_invalid=True).changed


def _waiting_for_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_come_one_after_the_other(folder):
    writing, go_on = threading.Event(), threading.Event()
    reports = []

    def hold(step: str, done: int, total: int) -> None:
        if step == "Writing lessons":
            writing.set()
            assert go_on.wait(FOR_EVER)

    def run(**options) -> None:
        try:
            reports.append(curriculum_import(path=folder, **options))
        finally:
            connection.close()

    first = threading.Thread(target=run, kwargs={"progress": hold})
    second = threading.Thread(target=run)
    first.start()
    assert writing.wait(PATIENCE)
    second.start()
    wait_until(_waiting_for_locks, what="the second import to wait")
    assert not Curriculum.objects.exists()
    go_on.set()
    first.join(PATIENCE)
    second.join(PATIENCE)

    assert [report.changed for report in reports] == [True, False]
    assert sorted(reports[1].lessons.unchanged) == ["a", "b"]
    assert Curriculum.objects.aggregate(Max("revision")) == {"revision__max": 1}
    assert Lesson.objects.count() == 2
