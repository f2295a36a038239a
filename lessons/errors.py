"""What can go wrong when something of the curriculum is asked for."""

from syringe_project.errors import NotFound


class LessonNotFound(NotFound):
    code = "lesson_not_found"
    template = "There is no lesson {slug}."


class CollectionNotFound(NotFound):
    code = "collection_not_found"
    template = "There is no collection {slug}."


class CurriculumNotFound(NotFound):
    code = "curriculum_not_found"
    template = "No curriculum has been imported."


class BundleNotFound(NotFound):
    code = "bundle_not_found"
    template = "There is no bundle {sha256}."
