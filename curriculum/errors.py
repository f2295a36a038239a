"""Why an import or a rehearsal did not happen."""

from collections.abc import Sequence

from curriculum.problems import Problem
from syringe_project.errors import Conflict, Invalid, Unavailable


class CurriculumInvalid(Invalid):
    """The curriculum has errors, and nothing of it was imported; ``problems`` are all of them."""

    code = "curriculum_invalid"
    template = "The curriculum has {errors} errors; nothing was imported."

    def __init__(self, *, errors: int, problems: Sequence[Problem] = ()) -> None:
        super().__init__(errors=errors, problems=tuple(problems))
        self.problems = tuple(problems)


class RehearsalImpossible(Unavailable):
    """A lesson could not be tried out."""

    code = "rehearsal_impossible"
    template = "{reason}"


class CurriculumChanged(Conflict):
    """Somebody wrote into the folder while it was imported; nothing was imported."""

    code = "curriculum_changed"
    template = "{file} changed while it was imported; nothing was imported. Try again."
