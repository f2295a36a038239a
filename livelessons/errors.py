"""What can go wrong with sessions and livelessons."""

from syringe_project.errors import Conflict, Invalid, NotFound, TooMany, Unavailable


class SessionNotFound(NotFound):
    code = "session_not_found"
    template = "There is no such session."


class LiveLessonNotFound(NotFound):
    code = "livelesson_not_found"
    template = "There is no such livelesson."


class LiveLessonBusy(Conflict):
    """Another action runs; ``retry_after`` is in seconds."""

    code = "livelesson_busy"
    template = "The livelesson is busy: {action} is running."


class LiveLessonEnded(Conflict):
    code = "livelesson_ended"
    template = "The lesson has ended."


class TooManyLiveLessons(TooMany):
    code = "too_many_livelessons"
    template = "This session already has {limit} livelessons, which is the limit."


class TooManySessions(TooMany):
    code = "too_many_sessions"
    template = "This address already has {limit} sessions, which is the limit."


class LessonNotStartable(Unavailable):
    code = "lesson_not_startable"
    template = "The lesson {slug} cannot be started: {reason}"


class InvalidStage(Invalid):
    code = "invalid_stage"
    template = "The lesson {slug} has no stage {stage}."


class StageGated(Conflict):
    """``missing`` are the slugs of ``objectives``, which are named by their descriptions."""

    code = "stage_gated"
    template = "This stage opens when these objectives are reached: {objectives}."


class ObjectiveNotFound(NotFound):
    code = "objective_not_found"
    template = "The lesson's present stage has no objective {slug}."


class ObjectiveNotOpen(Conflict):
    code = "objective_not_open"
    template = "The objective {slug} cannot be checked now."


class ChecksOff(Unavailable):
    code = "checks_off"
    template = "Objectives are not checked here at the moment."


class TooManyChecks(TooMany):
    code = "too_many_checks"
    template = "Checks can be asked for {limit} times a minute."


class LifetimeExhausted(Conflict):
    code = "lifetime_exhausted"
    template = "The livelesson cannot live longer than it already may."


class IdentityTaken(Conflict):
    code = "identity_taken"
    template = "This {provider} identity belongs to another learner."


class LeaseLost(Conflict):
    """The row is no longer ours to write: the lease ran out, or a new wish came in between."""

    code = "lease_lost"
    template = "Another run or a new wish overtook livelesson {live_lesson_id}."


class StaleTransition(Conflict):
    """The table of states does not allow the move from where the row stands."""

    code = "stale_transition"
    template = "Livelesson {live_lesson_id} cannot become {to}."
