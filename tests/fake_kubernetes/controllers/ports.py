"""Sockets on pods' addresses, so that reachability is tested against something real."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

from tests.fake_kubernetes.objects import Manifest

HTTP_PORTS = "fake-kubernetes/http-ports"
"""Annotation of pods: the ports, with commas, that answer HTTP; all others are SSH servers."""

_BANNER = b"SSH-2.0-OpenSSH_9.2p1 fake\r\n"
_PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


def _listed(pod: Manifest) -> dict[int, bytes]:
    """Return each port with what it says; names that begin with http or web tell a page."""
    http = (pod["metadata"].get("annotations") or {}).get(HTTP_PORTS, "").split(",")
    answers = {}
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            number = port["containerPort"]
            page = str(number) in http or port.get("name", "").startswith(("http", "web"))
            answers[number] = _PAGE if page else _BANNER
    return answers


class PodPorts:
    """One thread that listens for all pods; ports below 1024 where the system lets it."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._listening: dict[str, list[socket.socket]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fake-pods", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Close every port."""
        self._stopping = True
        self._thread.join()
        for uid in list(self._listening):
            self.close(uid)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def open(self, pod: Manifest, address: str) -> bool:
        """Listen for a pod; return whether the address was free."""
        opened: list[socket.socket] = []
        for port, answer in _listed(pod).items():
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.settimeout(0)
            try:
                listener.bind((address, port))
                listener.listen(64)
            except PermissionError:
                listener.close()
                continue
            except OSError:
                listener.close()
                for one in opened:
                    self._forget(one)
                return False
            opened.append(listener)
            self._selector.register(listener, selectors.EVENT_READ, answer)
        with self._lock:
            self._listening[pod["metadata"]["uid"]] = opened
        return True

    def close(self, uid: str) -> None:
        """Stop listening for a pod."""
        with self._lock:
            listeners = self._listening.pop(uid, [])
        for listener in listeners:
            self._forget(listener)

    def _forget(self, connection: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection)
        connection.close()

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.05):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                with contextlib.suppress(OSError, ValueError):
                    if key.data is None:
                        self._forget(connection)
                    else:
                        self._answer(connection, key.data)

    def _answer(self, listener: socket.socket, answer: bytes) -> None:
        connection, _ = listener.accept()
        connection.settimeout(0)
        connection.send(answer)
        # What the other side sends, or its end, closes the connection.
        self._selector.register(connection, selectors.EVENT_READ, None)
