"""Telling others what happened."""

from collections.abc import Mapping

from events.catalogue import EventType
from events.models import OutboxEvent


def publish(*, kind: EventType, subject: str, data: Mapping[str, object]) -> None:
    """Write an event in the caller's transaction: it is told if and only if that commits."""
    OutboxEvent.objects.create(type=kind.name, subject=subject, data=dict(data))
