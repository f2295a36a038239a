"""What the scheduler makes of a cluster's answers in the middle of a step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from garbage_collector.orphans import environments_compare, fallen
from livelessons.models import LiveLesson
from livelessons.states import State
from scheduler.backends.base import Phase, ReasonCode
from scheduler.backends.kubernetes import KubernetesBackend
from scheduler.backends.kubernetes.names import namespace_name
from scheduler.environments import environment_ref
from scheduler.reconciler import reconcile_once
from scheduler.services import lesson_start
from tests.contract.descriptions import wait_until
from tests.fake_kubernetes import FakeCluster, Fault
from tests.fake_kubernetes.kinds import PODS

pytestmark = pytest.mark.django_db


@pytest.fixture
def live_lesson(
    backend: KubernetesBackend,
    settings: Any,
    make_lesson: Callable[..., Any],
    make_session: Callable[..., Any],
) -> LiveLesson:
    """Return a livelesson that is to begin on the cluster."""
    settings.SYRINGE_BACKEND = "scheduler.backends.kubernetes.KubernetesBackend"
    return lesson_start(session=make_session(), slug=make_lesson().slug).live_lesson


def step(live_lesson: LiveLesson) -> None:
    """Take a step, whenever it is due."""
    LiveLesson.objects.update(next_look_at=timezone.now())
    reconcile_once([live_lesson.pk])
    live_lesson.refresh_from_db()


def test_a_server_that_names_a_time_is_not_asked_before(
    cluster: FakeCluster, live_lesson: LiveLesson
) -> None:
    cluster.faults.add(Fault(status=429, retry_after=20))

    step(live_lesson)

    assert live_lesson.reason_code == ReasonCode.BACKEND_UNAVAILABLE
    assert live_lesson.next_look_at is not None
    assert live_lesson.next_look_at - timezone.now() > timedelta(seconds=15)
    step(live_lesson)
    assert live_lesson.state == State.BOOTING


def test_a_namespace_lost_in_the_middle_of_a_start_is_replaced(
    cluster: FakeCluster, backend: KubernetesBackend, live_lesson: LiveLesson
) -> None:
    cluster.faults.add(Fault(verb="create", resource="pods", status=503))
    cluster.holds.hold("*")
    step(live_lesson)
    backend.destroy(environment_ref(live_lesson))

    step(live_lesson)
    assert (live_lesson.state, live_lesson.attempt) == (State.INITIALIZED, 2)
    assert live_lesson.reason_code == ReasonCode.VANISHED
    step(live_lesson)

    assert live_lesson.state == State.BOOTING
    assert len(list(backend.owned())) == 2


def test_a_server_that_refuses_to_be_observed_costs_no_lesson(
    cluster: FakeCluster, live_lesson: LiveLesson
) -> None:
    step(live_lesson)
    cluster.faults.add(Fault(verb="list", resource="pods", status=403))

    step(live_lesson)

    assert (live_lesson.state, live_lesson.attempt) == (State.BOOTING, 1)
    assert live_lesson.reason_code == ReasonCode.BACKEND_UNAVAILABLE
    assert live_lesson.next_look_at is not None
    assert live_lesson.next_look_at > timezone.now()


def test_pods_that_went_unseen_at_ready_are_found_by_one_list_of_each_kind(
    cluster: FakeCluster,
    backend: KubernetesBackend,
    live_lesson: LiveLesson,
    make_lesson: Callable[..., Any],
    make_session: Callable[..., Any],
) -> None:
    others = [
        lesson_start(session=make_session(), slug=make_lesson().slug).live_lesson for _ in range(3)
    ]
    for row in (live_lesson, *others):
        step(row)
        assert wait_until(lambda row=row: phase_of(backend, row) == Phase.RUNNING)  # type: ignore[misc]
        step(row)
    LiveLesson.objects.update(state=State.READY, next_look_at=None)
    assert fallen(backend) == []
    namespace = namespace_name(settings.SYRINGE_INSTANCE, environment_ref(live_lesson))
    [pod] = cluster.store.in_namespace(PODS, namespace)
    cluster.store.remove(PODS, (namespace, pod["metadata"]["name"]))
    cluster.calls.clear()

    assert fallen(backend) == [live_lesson.pk]

    assert sorted(call.resource for call in cluster.calls) == ["jobs", "namespaces", "pods"]
    environments_compare()
    reconcile_once([live_lesson.pk])
    live_lesson.refresh_from_db()
    assert (live_lesson.state, live_lesson.attempt) == (State.INITIALIZED, 2)
    assert live_lesson.reason_code == ReasonCode.VANISHED


def phase_of(backend: KubernetesBackend, live_lesson: LiveLesson) -> Phase:
    ref = environment_ref(live_lesson)
    return backend.observe([ref])[ref].phase


def test_what_the_server_said_is_for_operators(
    cluster: FakeCluster, live_lesson: LiveLesson
) -> None:
    cluster.faults.add(Fault(resource="networkpolicies", status=403))

    step(live_lesson)

    assert live_lesson.state == State.FAILED
    assert live_lesson.reason == "This lesson cannot run here."
    assert "HTTP 403: forbidden by the fault script" in live_lesson.log_tail
