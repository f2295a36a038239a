"""The one table of a livelesson's states. Imports nothing but Django's choices."""

from django.db.models import TextChoices


class State(TextChoices):
    """What is, as the scheduler found it."""

    INITIALIZED = "INITIALIZED"
    BOOTING = "BOOTING"
    CONFIGURATION = "CONFIGURATION"
    READY = "READY"
    FAILED = "FAILED"
    DELETING = "DELETING"
    DELETED = "DELETED"


class Desired(TextChoices):
    """What is wished: by learners, operators and garbage collection."""

    RUNNING = "running"
    GONE = "gone"


class Action(TextChoices):
    """What holds a livelesson's lock while it runs."""

    START = "start"
    STAGE_CHANGE = "stage_change"
    RESTART = "restart"
    DELETE = "delete"


class ObjectiveState(TextChoices):
    """How it stands with an objective."""

    WAITING = "waiting"
    """Not checked yet, or what it needs is not passed."""
    CHECKING = "checking"
    """Somebody waits for a result: of the first check, or of one that was asked for."""
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """The check itself is broken, which is no fault of the learner's."""


class EndReason(TextChoices):
    """Why a livelesson ended."""

    NONE = ""
    LEARNER = "learner"
    OPERATOR = "operator"
    EXPIRED = "expired"
    FAILED = "failed"
    ORPHANED = "orphaned"
    VANISHED = "vanished"


ALLOWED: dict[State, frozenset[State]] = {
    State.INITIALIZED: frozenset({State.BOOTING, State.FAILED, State.DELETING}),
    State.BOOTING: frozenset(
        {State.CONFIGURATION, State.INITIALIZED, State.FAILED, State.DELETING}
    ),
    State.CONFIGURATION: frozenset({State.READY, State.INITIALIZED, State.FAILED, State.DELETING}),
    State.READY: frozenset({State.CONFIGURATION, State.INITIALIZED, State.FAILED, State.DELETING}),
    State.FAILED: frozenset({State.DELETING}),
    State.DELETING: frozenset({State.DELETED}),
    State.DELETED: frozenset(),
}
"""From each state, the states it may be followed by."""

LIVE = frozenset({State.INITIALIZED, State.BOOTING, State.CONFIGURATION, State.READY})
"""States in which a livelesson occupies its session's place for the lesson."""


def sources_of(target: State) -> list[State]:
    """Return the states that may be followed by ``target``."""
    return [source for source, targets in ALLOWED.items() if target in targets]
