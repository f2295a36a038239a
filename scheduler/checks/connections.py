"""SSH connections to endpoints, kept for a while because most checks are repeated."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import asyncssh

from scheduler.backends.base import Login
from scheduler.checks.places import Address

CONNECT_SECONDS = 3.0
LOGIN_SECONDS = 4.0
IDLE_SECONDS = 60.0
MOST_IDLE = 300
"""Beyond this those that were idle longest are closed: each is a file and a quarter megabyte."""


class ConnectionRefused(Exception):
    """No SSH connection can be had now; says why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One machine of one environment: a fresh environment gets fresh connections."""

    live_lesson_id: UUID
    attempt: int
    address: Address


@dataclass(eq=False, slots=True)
class _Kept:
    connecting: "asyncio.Task[asyncssh.SSHClientConnection]"
    users: int = 0
    closing: asyncio.TimerHandle | None = field(default=None)


class Connections:
    """Belongs to one loop."""

    def __init__(self) -> None:
        self._kept: dict[Endpoint, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @contextlib.asynccontextmanager
    async def connection(
        self, endpoint: Endpoint, login: Login
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Yield a connection that others may be using, too; raise ConnectionRefused.

        One on which anything went wrong is not used again.
        """
        kept = self._kept.get(endpoint)
        if kept is None or _is_over(kept.connecting):
            kept = _Kept(asyncio.create_task(_connect(endpoint.address, login)))
            self._kept[endpoint] = kept
        # The first in the order of the dictionary is always the one that was unused longest.
        self._kept[endpoint] = self._kept.pop(endpoint)
        kept.users += 1
        if kept.closing is not None:
            kept.closing.cancel()
            kept.closing = None
        try:
            # Shielded, because others may wait for the same connection.
            yield await asyncio.shield(kept.connecting)
        except BaseException:
            self._forget(endpoint, kept)
            raise
        finally:
            kept.users -= 1
            self._rest(endpoint, kept)

    def close(self) -> None:
        """Close all."""
        for endpoint, kept in list(self._kept.items()):
            self._forget(endpoint, kept)
            _close(kept)

    def _rest(self, endpoint: Endpoint, kept: _Kept) -> None:
        if kept.users:
            return
        if self._kept.get(endpoint) is not kept:
            _close(kept)
            return
        loop = asyncio.get_running_loop()
        kept.closing = loop.call_later(IDLE_SECONDS, self._drop, endpoint, kept)
        if len(self._kept) > MOST_IDLE:
            for oldest, idle in list(self._kept.items())[: len(self._kept) - MOST_IDLE]:
                if not idle.users:
                    self._drop(oldest, idle)

    def _drop(self, endpoint: Endpoint, kept: _Kept) -> None:
        if not kept.users:
            self._forget(endpoint, kept)
            _close(kept)

    def _forget(self, endpoint: Endpoint, kept: _Kept) -> None:
        if kept.closing is not None:
            kept.closing.cancel()
            kept.closing = None
        if self._kept.get(endpoint) is kept:
            del self._kept[endpoint]


def _is_over(connecting: "asyncio.Task[asyncssh.SSHClientConnection]") -> bool:
    if not connecting.done():
        return False
    failed = connecting.cancelled() or connecting.exception() is not None
    return failed or connecting.result().is_closed()


def _close(kept: _Kept) -> None:
    connecting = kept.connecting
    if not connecting.done():
        connecting.cancel()
    elif not connecting.cancelled() and connecting.exception() is None:
        # At once: what still runs there ends when the connection does.
        connecting.result().abort()


async def _connect(address: Address, login: Login) -> asyncssh.SSHClientConnection:
    try:
        async with asyncio.timeout(CONNECT_SECONDS + LOGIN_SECONDS):
            return await asyncssh.connect(
                address.host,
                address.port,
                username=login.username,
                password=login.password,
                # Endpoints are fresh and make their keys when they start.
                known_hosts=None,
                client_keys=None,
                agent_path=None,
                config=None,
                preferred_auth=("password", "keyboard-interactive"),
                connect_timeout=CONNECT_SECONDS,
                login_timeout=LOGIN_SECONDS,
            )
    except TimeoutError:
        raise ConnectionRefused(f"{address.name} did not answer in time.") from None
    except asyncssh.PermissionDenied:
        raise ConnectionRefused(f"{address.name} refused the login.") from None
    except (asyncssh.Error, OSError) as exc:
        raise ConnectionRefused(f"{address.name}: {type(exc).__name__}: {exc}") from None
