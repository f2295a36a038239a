"""How often checks of objectives can be asked for."""

import logging

import redis
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from rest_framework.request import Request

from livelessons.errors import TooManyChecks

logger = logging.getLogger(__name__)

A_MINUTE = 30


def limit_checks(request: HttpRequest | Request, *, key: str) -> None:
    """Count a request of whoever ``key`` stands for; raise TooManyChecks beyond the limit.

    Without Redis nothing is counted and nobody refused.
    """
    try:
        usage = get_usage(
            request,
            group="objective-checks",
            key=lambda *_: key,
            rate=f"{A_MINUTE}/m",
            increment=True,
        )
    except redis.RedisError as exc:
        logger.warning("checks not counted: %s", type(exc).__name__)
        return
    if usage and usage["should_limit"]:
        raise TooManyChecks(limit=A_MINUTE, retry_after=max(1, usage["time_left"]))
