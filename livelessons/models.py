"""What is running: sessions, livelessons and everything the scheduler knows of them."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from lessons.models import Lesson
from livelessons.states import LIVE, Action, Desired, EndReason, ObjectiveState, State


class Learner(models.Model):
    """A person, as far as a platform in front of Syringe told us who it is."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    display_name = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.display_name or str(self.pk)


class ExternalIdentity(models.Model):
    """One name of a learner in another system; no provider is special."""

    learner = models.ForeignKey(Learner, on_delete=models.CASCADE, related_name="identities")
    provider = models.CharField(max_length=100)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "external identities"
        constraints = [
            models.UniqueConstraint(fields=["provider", "subject"], name="identity_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.subject}"


class LiveSession(models.Model):
    """One browser's visit. ``id`` is public; the secret is stored as its SHA-256 only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    secret_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    source_address = models.GenericIPAddressField()
    persistent = models.BooleanField(
        default=False, help_text="Spared by garbage collection, and so are its livelessons."
    )
    learner = models.ForeignKey(
        Learner, null=True, blank=True, on_delete=models.SET_NULL, related_name="sessions"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField()

    class Meta:
        verbose_name = "session"
        indexes = [
            models.Index(fields=["source_address"], name="session_source_address"),
            models.Index(fields=["last_seen_at"], name="session_last_seen"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class LiveLesson(models.Model):
    """One lesson of one session: what is wished, what is, and when to look again.

    Each wish adds 1 to ``generation`` and sets ``next_look_at`` to now. The scheduler works on
    a row only while it holds its lease, and its closing write carries the lease's token and the
    generation that it claimed (``lease_generation``), so no wish is ever lost.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(LiveSession, on_delete=models.PROTECT, related_name="livelessons")
    lesson = models.ForeignKey(Lesson, on_delete=models.PROTECT, related_name="livelessons")
    slug = models.CharField(max_length=100)
    spec = models.JSONField(editable=False)
    backend = models.CharField(max_length=50, blank=True)

    desired = models.CharField(max_length=10, choices=Desired.choices, default=Desired.RUNNING)
    desired_stage = models.PositiveSmallIntegerField(default=0)
    desired_restarts = models.PositiveSmallIntegerField(default=0)
    generation = models.PositiveBigIntegerField(default=1)

    state = models.CharField(max_length=20, choices=State.choices, default=State.INITIALIZED)
    stage = models.PositiveSmallIntegerField(default=0)
    observed_generation = models.PositiveBigIntegerField(default=0)
    state_since = models.DateTimeField()
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.TextField(blank=True, help_text="For learners.")
    log_tail = models.TextField(blank=True, help_text="For operators.")
    healthy_tests = models.PositiveSmallIntegerField(default=0)
    total_tests = models.PositiveSmallIntegerField(default=0)
    environment_gone = models.BooleanField(
        default=False, help_text="The backend said that nothing is left."
    )

    attempt = models.PositiveSmallIntegerField(default=1, help_text="Names the environment.")
    restarts = models.PositiveSmallIntegerField(default=0, help_text="Restarts carried out.")
    start_attempts = models.PositiveSmallIntegerField(
        default=1, help_text="Environments tried since the last wish to start."
    )
    configuration_run = models.PositiveBigIntegerField(
        default=0, help_text="Names the configuration jobs of the stage."
    )
    failures = models.PositiveSmallIntegerField(
        default=0, help_text="Backend calls that failed in a row."
    )
    reachable_since = models.DateTimeField(null=True, blank=True)
    next_look_at = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_generation = models.PositiveBigIntegerField(default=0)

    completed_stages = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        blank=True,
        help_text="Stages whose counting objectives were once all passed.",
    )

    version = models.PositiveBigIntegerField(
        default=1, help_text="Grows with everything a learner could see change."
    )
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True, blank=True)
    last_active_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Absolute end.")
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=20, choices=EndReason.choices, blank=True)

    known_endpoints: "list[LiveEndpoint]"
    """Set by whoever observes: the endpoints as the last look left them, in the spec's order."""

    class Meta:
        verbose_name = "livelesson"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["session", "slug"],
                condition=Q(state__in=sorted(LIVE)) & Q(desired=Desired.RUNNING),
                name="livelesson_once_per_session",
            ),
            models.CheckConstraint(
                condition=Q(state__in=State.values), name="livelesson_state_known"
            ),
            models.CheckConstraint(
                condition=Q(desired__in=Desired.values), name="livelesson_desired_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at"],
                condition=Q(next_look_at__isnull=False),
                name="livelesson_due",
            ),
            models.Index(fields=["session", "-created_at"], name="livelesson_of_session"),
            models.Index(fields=["-created_at"], name="livelesson_created"),
            models.Index(
                fields=["last_active_at"],
                condition=Q(state__in=sorted(LIVE)),
                name="livelesson_idle",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(state__in=sorted(LIVE)),
                name="livelesson_expiry",
            ),
            models.Index(
                fields=["ended_at"],
                condition=Q(ended_at__isnull=False),
                name="livelesson_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slug} {self.pk}"

    @property
    def latest_end(self) -> datetime:
        """The greatest age it may reach, which no extension goes beyond."""
        return self.created_at + timedelta(seconds=settings.SYRINGE_MAX_LIFETIME_SECONDS)


class LiveEndpoint(models.Model):
    """What the scheduler last observed of one endpoint; the name refers to the spec's."""

    live_lesson = models.ForeignKey(LiveLesson, on_delete=models.CASCADE, related_name="endpoints")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=63)
    phase = models.CharField(max_length=20, blank=True)
    reason_code = models.CharField(max_length=40, blank=True)
    message = models.TextField(blank=True)
    host = models.CharField(max_length=255, blank=True)
    ports = models.JSONField(
        default=dict, help_text="From the endpoint's port to the one to connect to on host."
    )
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Of the environment seen.")
    reachable = models.BooleanField(default=False, help_text="Answered us at that host.")
    log_tail = models.TextField(blank=True)

    is_judged = False
    """Set by whoever observes: ``reachable`` is news, and not as it was read a while ago."""

    class Meta:
        verbose_name = "endpoint"
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["live_lesson", "name"], name="live_endpoint_once"),
        ]

    def __str__(self) -> str:
        return self.name


class LiveLessonLock(models.Model):
    """The action that runs on a livelesson; while it stands, others are refused."""

    live_lesson = models.OneToOneField(
        LiveLesson, on_delete=models.CASCADE, related_name="lock", primary_key=True
    )
    action = models.CharField(max_length=20, choices=Action.choices)
    holder = models.CharField(max_length=200, help_text="Who asked for the action.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "action lock"

    def __str__(self) -> str:
        return f"{self.action} of {self.live_lesson_id}"


class LiveLessonChange(models.Model):
    """One entry of a livelesson's history: the state it took and when."""

    live_lesson = models.ForeignKey(LiveLesson, on_delete=models.CASCADE, related_name="history")
    at = models.DateTimeField()
    state = models.CharField(max_length=20, choices=State.choices)
    stage = models.PositiveSmallIntegerField()
    attempt = models.PositiveSmallIntegerField()
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        verbose_name = "change of state"
        verbose_name_plural = "changes of state"
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.state} at {self.at:%H:%M:%S}"


class LiveObjective(models.Model):
    """How it stands with one objective of a livelesson; stage and slug refer to the spec.

    Whoever writes it holds the livelesson's row, so that nobody waits in a ring and results of
    one livelesson come one after another. A check in progress is a claim: it expires by itself,
    because ``next_check_at`` is the claim's end, and its result is written only while it stands.
    """

    live_lesson = models.ForeignKey(
        LiveLesson, on_delete=models.CASCADE, related_name="objectives", db_index=False
    )
    stage = models.PositiveSmallIntegerField()
    position = models.PositiveSmallIntegerField()
    slug = models.CharField(max_length=63)
    level = models.BooleanField(default=False, help_text="May be lost again after it was passed.")
    needs = ArrayField(models.CharField(max_length=63), default=list, blank=True)
    interval_seconds = models.PositiveSmallIntegerField()
    timeout_seconds = models.PositiveSmallIntegerField()

    state = models.CharField(
        max_length=10, choices=ObjectiveState.choices, default=ObjectiveState.WAITING
    )
    message = models.CharField(
        max_length=500, blank=True, help_text="For learners, and for checks that need this one."
    )
    detail = models.TextField(blank=True, help_text="For authors.")
    attempts = models.PositiveIntegerField(default=0, help_text="Checks that passed or failed.")
    failures = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0, help_text="Checks that were broken.")
    opened_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    passed_at = models.DateTimeField(null=True, blank=True)
    unanswered_at = models.DateTimeField(
        null=True, blank=True, help_text="Of the last check, where it found out nothing."
    )

    next_check_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: not to be checked now."
    )
    pause_seconds = models.FloatField(default=0, help_text="Until the next check but one.")
    wishes = models.PositiveIntegerField(default=0, help_text="Checks that were asked for.")
    answered = models.PositiveIntegerField(default=0, help_text="Wishes that a check answered.")
    claim = models.UUIDField(null=True, blank=True)
    claims = models.PositiveIntegerField(
        default=0, help_text="Claims ever made; names the jobs of checks."
    )
    claimed_until = models.DateTimeField(null=True, blank=True)
    checker = models.CharField(max_length=200, blank=True, help_text="Who checks, or did last.")

    class Meta:
        verbose_name = "objective"
        ordering = ["stage", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["live_lesson", "stage", "slug"], name="live_objective_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=ObjectiveState.values), name="live_objective_state_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_check_at"],
                condition=Q(next_check_at__isnull=False),
                name="live_objective_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slug} of stage {self.stage}"

    @property
    def is_unanswered(self) -> bool:
        """Nobody can tell how it stands, and nobody is finding out at the moment."""
        return self.unanswered_at is not None and self.state not in {
            ObjectiveState.CHECKING,
            ObjectiveState.PASSED,
        }

    @property
    def shown_message(self) -> str:
        """What learners read."""
        return "The machine does not answer at the moment." if self.is_unanswered else self.message


class Checker(models.Model):
    """A process that checks objectives, and when it last said that it lives."""

    name = models.CharField(max_length=200, primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
