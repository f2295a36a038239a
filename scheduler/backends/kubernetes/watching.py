"""Wake-ups from a cluster: what changes there is looked at at once instead of at the next sweep.

Each kind has a thread that lists, watches on from there, and lists again before long, because a
watch may lose events without saying so. Nothing is decided here: whoever is woken observes.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import uniform
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID

from scheduler.backends.base import BackendRejected, BackendUnavailable, Phase
from scheduler.backends.kubernetes.client import Cluster
from scheduler.backends.kubernetes.deletion import is_terminating
from scheduler.backends.kubernetes.failures import Expired
from scheduler.backends.kubernetes.labels import ROLE, Role, instance_selector, ref_of
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.phases import pod_standing
from syringe_project.environment import touch_heartbeat_file

logger = logging.getLogger(__name__)

KINDS = ("Namespace", "Pod", "Job")
RELIST_SECONDS = (20.0, 25.0)
"""A list at least every 30 s, even where a watch does not notice that its connection is dead.

Drawn anew each time, so that many watchers do not list at once.
"""

GIVE_UP_SECONDS = 60.0
"""Who could neither list nor watch for so long ends, and its supervisor knows.

Who is stuck for so long cannot end; it stops touching the file that health checks look at.
"""

_BATCH_SECONDS = 0.02
"""A pod's start is several changes in a row; those within this time are one wake-up."""

_FIRST_PAUSE, _LAST_PAUSE = 0.2, 10.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What an object looked like when it was last seen."""

    live_lesson_id: UUID
    appearance: object
    runs: bool = True


class Watcher:
    """Watches one instance's objects and calls ``wake`` with the livelessons they belong to."""

    def __init__(
        self,
        cluster: Cluster,
        instance: str,
        wake: Callable[[Collection[UUID]], None],
        *,
        relist_seconds: tuple[float, float] = RELIST_SECONDS,
        give_up_seconds: float = GIVE_UP_SECONDS,
        show_life: Callable[[], None] = touch_heartbeat_file,
    ) -> None:
        self._wake = wake
        self._show_life = show_life
        self._changes = _Changes()
        self._followers = [
            _Follower(cluster, kind, instance, self._changes, relist_seconds, give_up_seconds)
            for kind in KINDS
        ]

    def run(self, stop: Event) -> None:
        """Watch until ``stop`` is set; raise BackendUnavailable when a kind cannot be watched.

        That is at once where the first list fails: who never began is better started again. The
        threads end with the process, or when their present call does.
        """
        for follower in self._followers:
            follower.begin()
        for follower in self._followers:
            follower.start(stop)
        while not stop.is_set():
            if all(follower.works for follower in self._followers):
                self._show_life()
            if self._changes.wait(0.5):
                time.sleep(_BATCH_SECONDS)
                if changed := self._changes.take():
                    self._wake(changed)
            for follower in self._followers:
                if follower.error is not None:
                    raise follower.error


class _Changes:
    """The livelessons to wake, gathered by the followers."""

    def __init__(self) -> None:
        self._ids: set[UUID] = set()
        self._lock = Lock()
        self._some = Event()

    def add(self, ids: Collection[UUID]) -> None:
        if ids:
            with self._lock:
                self._ids.update(ids)
                self._some.set()

    def wait(self, seconds: float) -> bool:
        return self._some.wait(seconds)

    def take(self) -> Collection[UUID]:
        with self._lock:
            ids, self._ids = self._ids, set()
            self._some.clear()
        return ids


@dataclass
class _Follower:
    """Follows one kind on a thread of its own; ``error`` says why it ended."""

    cluster: Cluster
    kind: str
    instance: str
    changes: _Changes
    relist_seconds: tuple[float, float]
    give_up_seconds: float
    error: BackendUnavailable | None = None
    _first_appearance: object = None
    _known: dict[str, _Known] | None = None
    _version: str = ""
    _relist_at: float = 0.0
    _worked_at: float = 0.0
    _failing_since: float | None = None
    _failures: int = 0
    _stop: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self._first_appearance = appearance(self.kind, {"metadata": {}})

    @property
    def works(self) -> bool:
        """Whether it has lately listed or watched with success."""
        return time.monotonic() - self._worked_at < self.give_up_seconds

    def begin(self) -> None:
        try:
            self._list()
        except BackendRejected as exc:
            raise BackendUnavailable(reason=str(exc)) from exc

    def start(self, stop: Event) -> None:
        self._stop = stop
        Thread(target=self._run, name=f"watch-{self.kind.lower()}", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._go_on()
            except Expired as exc:
                logger.info("%s: listing again", exc)
                self._relist_at = 0.0
                self._back_off()
            except BackendUnavailable as exc:
                if not self._may_go_on(exc):
                    return
            except BackendRejected as exc:
                self.error = BackendUnavailable(reason=str(exc))
                return
            except Exception as exc:
                # Without this thread the others would look alive and see only a part.
                logger.exception("watching %s broke", self.kind)
                self.error = BackendUnavailable(
                    reason=f"watching {self.kind} broke: {type(exc).__name__}"
                )
                return

    def _go_on(self) -> None:
        if time.monotonic() >= self._relist_at:
            self._list()
        seconds = self._relist_at - time.monotonic()
        if seconds < 1:
            self._pause(seconds)
            return
        began = time.monotonic()
        for event in self.cluster.watch(
            self.kind,
            labels=instance_selector(self.instance),
            resource_version=self._version,
            timeout_seconds=int(seconds),
        ):
            self._watched()
            self._note(event.type, event.object)
            if self._stop.is_set():
                return
        self._watched()
        if time.monotonic() - began < _FIRST_PAUSE:
            self._pause(_FIRST_PAUSE)

    def _list(self) -> None:
        labels = instance_selector(self.instance)
        found = self.cluster.list(self.kind, labels=labels, paged=True)
        known = {uid: one for uid, one in map(self._known_of, found.items) if one is not None}
        if self._known is not None:
            lost = self._known.keys() - known.keys()
            changed = {uid for uid, one in known.items() if self._differs(uid, one)}
            self.changes.add(
                {(known.get(uid) or self._known[uid]).live_lesson_id for uid in lost | changed}
            )
        else:
            # What happened before there was a watcher may have woken nobody.
            self.changes.add({one.live_lesson_id for one in known.values() if not one.runs})
        self._known = known
        self._version = found.resource_version
        self._relist_at = time.monotonic() + uniform(*self.relist_seconds)  # noqa: S311 (jitter)
        self._worked()

    def _note(self, event: str, manifest: Manifest) -> None:
        self._version = _metadata(manifest).get("resourceVersion") or self._version
        if event == "BOOKMARK" or self._known is None:
            return
        uid, now = self._known_of(manifest)
        if now is None:
            return
        if event == "DELETED" or self._differs(uid, now):
            self.changes.add({now.live_lesson_id})
        self._known[uid] = now
        if event == "DELETED":
            del self._known[uid]

    def _differs(self, uid: str, now: _Known) -> bool:
        """Say whether an object looks other than before; a new one was asked for by ourselves."""
        before = (self._known or {}).get(uid)
        return now.appearance != (before.appearance if before else self._first_appearance)

    def _known_of(self, manifest: Manifest) -> tuple[str, _Known | None]:
        metadata = _metadata(manifest)
        labels = metadata.get("labels") or {}
        ref = ref_of(labels)
        # Whoever asked for a check looks after it.
        if ref is None or labels.get(ROLE) == Role.CHECK:
            return "", None
        looks = appearance(self.kind, manifest)
        # Pods of configurations are meant to end, and who waits for them asks.
        runs = labels.get(ROLE) == Role.CONFIGURATION or _runs(self.kind, looks)
        return str(metadata["uid"]), _Known(ref.live_lesson_id, looks, runs)

    def _worked(self) -> None:
        self._worked_at, self._failing_since = time.monotonic(), None

    def _watched(self) -> None:
        self._worked()
        # A list does not end the backing off: where watches fail, each is followed by a list.
        self._failures = 0

    def _may_go_on(self, exc: BackendUnavailable) -> bool:
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if now - self._failing_since > self.give_up_seconds:
            self.error = exc
            return False
        logger.warning("watching %s: %s", self.kind, exc)
        self._back_off()
        return True

    def _back_off(self) -> None:
        self._pause(min(_LAST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10)))
        self._failures += 1

    def _pause(self, seconds: float) -> None:
        self._stop.wait(uniform(0.5, 1.0) * max(seconds, 0.0))  # noqa: S311 (jitter)


def _metadata(manifest: Manifest) -> Mapping[str, Any]:
    return manifest.get("metadata") or {}


def _runs(kind: str, looks: Any) -> bool:
    """Say whether an environment in which something looks so may be observed RUNNING."""
    match kind:
        case "Pod":
            standing, _ = looks
            return bool(standing.phase == Phase.RUNNING)
        case "Namespace":
            return not looks
        case _:
            return True


def appearance(kind: str, manifest: Manifest) -> object:
    """Return what an observation depends on, so that other changes wake nobody.

    Kubelets and controllers write a dozen times until a pod runs; the scheduler looks at two or
    three of these, and each look costs calls.
    """
    match kind:
        case "Pod":
            standing = pod_standing(manifest, "", datetime.now(UTC))
            return standing, (manifest.get("status") or {}).get("podIP")
        case "Job":
            conditions = (manifest.get("status") or {}).get("conditions") or ()
            return tuple((one.get("type"), one.get("status")) for one in conditions)
        case _:
            return is_terminating(manifest)
