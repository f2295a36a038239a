"""Carry connections from the machine's loopback to an endpoint's port.

The listeners were made before the supervisor left the machine's network, and what they accept
stays there; connections onward start inside the lesson's network.
"""

import selectors
import socket
from contextlib import suppress

from scheduler.backends.local.loop import Loop

_CHUNK = 256 * 1024
_BACKLOG = 128


class Relay:
    """One listener; it refuses connections until it is opened."""

    def __init__(self, loop: Loop, listener: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        listener.settimeout(0)

    def open(self) -> None:
        """Begin to accept."""
        self._listener.listen(_BACKLOG)
        self._loop.watch(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Refuse further connections."""
        self._loop.watch(self._listener, 0, self._accept)
        self._listener.close()

    def _accept(self, _events: int) -> None:
        try:
            outer, _ = self._listener.accept()
        except OSError:
            # The caller left again, or there are no more descriptors; others still work.
            return
        inner = None
        try:
            inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            for end in (outer, inner):
                end.settimeout(0)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(BlockingIOError):
                inner.connect(self._target)
        except OSError:
            outer.close()
            if inner is not None:
                inner.close()
            return
        _Pair(self._loop, outer, inner)


class _Direction:
    """Bytes on their way from one socket to the other; at most one chunk is held."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.pending = memoryview(b"")
        self.ended = False
        self.closed = False

    def receive(self) -> None:
        try:
            data = self.source.recv(_CHUNK)
        except BlockingIOError:
            return
        if data:
            self.pending = memoryview(data)
        else:
            self.ended = True
        self.send()

    def send(self) -> None:
        if self.pending:
            try:
                sent = self.sink.send(self.pending)
            except BlockingIOError:
                return
            self.pending = self.pending[sent:]
        if self.ended and not self.pending and not self.closed:
            self.closed = True
            self.sink.shutdown(socket.SHUT_WR)


class _Pair:
    """Two connected sockets and the bytes between them; either end may close its half first."""

    def __init__(self, loop: Loop, outer: socket.socket, inner: socket.socket) -> None:
        self._loop = loop
        self._outer = outer
        self._inner = inner
        self._up = _Direction(outer, inner)
        self._down = _Direction(inner, outer)
        self._connected = False
        loop.watch(inner, selectors.EVENT_WRITE, self._on_inner)

    def _on_inner(self, events: int) -> None:
        if not self._connected:
            if self._inner.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._close()
                return
            self._connected = True
            self._rewatch()
            return
        self._move(events, self._down, self._up)

    def _on_outer(self, events: int) -> None:
        self._move(events, self._up, self._down)

    def _move(self, events: int, incoming: _Direction, outgoing: _Direction) -> None:
        try:
            if events & selectors.EVENT_READ:
                incoming.receive()
            if events & selectors.EVENT_WRITE:
                outgoing.send()
        except OSError:
            self._close()
            return
        if self._up.closed and self._down.closed:
            self._close()
            return
        self._rewatch()

    def _rewatch(self) -> None:
        for end, incoming, outgoing, callback in (
            (self._outer, self._up, self._down, self._on_outer),
            (self._inner, self._down, self._up, self._on_inner),
        ):
            events = 0
            if not incoming.ended and not incoming.pending:
                events |= selectors.EVENT_READ
            if outgoing.pending:
                events |= selectors.EVENT_WRITE
            self._loop.watch(end, events, callback)

    def _close(self) -> None:
        for end, callback in ((self._outer, self._on_outer), (self._inner, self._on_inner)):
            self._loop.watch(end, 0, callback)
            end.close()
