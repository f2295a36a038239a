"""HTTP/1.1 with connections that stay, one thread each, and chunked watch streams."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import threading
from collections.abc import Mapping
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fake_kubernetes.api import Api
from tests.fake_kubernetes.calls import Call, Calls
from tests.fake_kubernetes.errors import ApiError, expired, unauthorized
from tests.fake_kubernetes.faults import Fault, Faults
from tests.fake_kubernetes.kinds import Kinds
from tests.fake_kubernetes.rbac import Attributes, Authorizer
from tests.fake_kubernetes.watching import error_line
from tests.fake_kubernetes.wire import Request, Response, answer_error, read_target


class ApiServer(ThreadingHTTPServer):
    """Serves on loopback until ``stop``, which ends every connection."""

    request_queue_size = 1024
    daemon_threads = False
    block_on_close = True

    def __init__(
        self,
        port: int,
        *,
        api: Api,
        installed: Kinds,
        users: Mapping[str, tuple[str, Authorizer]],
        calls: Calls,
        faults: Faults,
    ) -> None:
        self.api = api
        self.installed = installed
        self.users = users
        self.calls = calls
        self.faults = faults
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection and wait for the threads."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.drop_connections()
        self.server_close()

    def drop_connections(self) -> None:
        """End every connection, watches as well, as a load balancer that restarts does."""
        with self._guard:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remember every connection, to end it later."""
        connection, address = super().get_request()
        with self._guard:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that ends."""
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that went away; anything else is a bug of the fake."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ApiServer

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Keep quiet: ``Calls`` has it all."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - as http.server wants it

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
        target = read_target(request, self.server.installed)
        action = target.action
        call = Call(
            verb=action.verb,
            group=action.group,
            resource=action.resource,
            subresource=action.subresource,
            namespace=action.namespace,
            name=action.name,
            path=target.path,
            query=target.query,
            content_type=request.content_type,
        )
        self.server.calls.add(call)
        fault: Fault | None = None
        try:
            user, rights = self._identity()
            fault = self._fault(action)
            if fault is not None and fault.drop == "before":
                self.close_connection = True
                return
            response = self.server.api.handle(request, target, user, rights)
        except ApiError as error:
            response = answer_error(error)
        except ConnectionAbortedError:
            self.close_connection = True
            return
        except Exception as bug:  # noqa: BLE001 - a bug of the fake must be seen as that
            self.server.api.bugs.append(bug)
            response = answer_error(ApiError(599, "BugOfTheFake", repr(bug)))
        call.warnings = response.warnings
        if fault is not None and fault.malformed:
            response.body = response.body[: len(response.body) // 2]
        cut = fault is not None and fault.drop == "middle"
        call.status = response.code
        if response.watch is not None:
            self._stream(response, cut=cut, expire=fault is not None and fault.expire)
        else:
            self._send(response, cut=cut)

    def _identity(self) -> tuple[str, Authorizer]:
        """https://kubernetes.io/docs/reference/access-authn-authz/authentication/"""
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        known = self.server.users.get(token) if scheme.lower() == "bearer" else None
        if known is None:
            raise unauthorized()
        return known

    def _fault(self, action: Attributes) -> Fault | None:
        fault = self.server.faults.take(action)
        if fault is not None:
            if self.server.stopping.wait(fault.delay):
                raise ConnectionAbortedError
            if fault.status:
                raise fault.error()
        return fault

    def _head(self, response: Response, extra: str) -> bytes:
        lines = [
            f"HTTP/1.1 {response.code} {responses.get(response.code, '')}",
            f"Content-Type: {response.content_type}",
            "Cache-Control: no-cache, private",
            f"Date: {self.date_time_string()}",
            extra,
            *(f"{name}: {value}" for name, value in response.headers.items()),
            *(f"Warning: 299 - {json.dumps(text)}" for text in response.warnings),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _send(self, response: Response, *, cut: bool) -> None:
        head = self._head(response, f"Content-Length: {len(response.body)}")
        if cut:
            self.close_connection = True
            self.wfile.write(head + response.body[: len(response.body) // 2])
            return
        self.wfile.write(head + response.body)

    def _stream(self, response: Response, *, cut: bool, expire: bool) -> None:
        assert response.watch is not None
        self.wfile.write(self._head(response, "Transfer-Encoding: chunked"))
        if expire:
            self._chunk(error_line(expired("too old resource version: 1 (2)")))
            self._chunk(b"")
            return
        for line in response.watch:
            if not line:
                if self._client_left():
                    self.close_connection = True
                    return
                continue
            if cut:
                self.close_connection = True
                self.wfile.write(b"%x\r\n%s" % (len(line), line[: len(line) // 2]))
                return
            self._chunk(line)
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _client_left(self) -> bool:
        """Notice that nobody listens, which a stream without events does not tell."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        if not readable:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return True
