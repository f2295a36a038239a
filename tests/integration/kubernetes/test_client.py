"""Finding a cluster and talking to it: kubeconfigs, connections, time limits, watches."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.backends.base import BackendRejected, BackendUnavailable
from scheduler.backends.kubernetes import KubernetesBackend
from scheduler.backends.kubernetes import client as client_module
from scheduler.backends.kubernetes.backend import _SENDERS
from scheduler.backends.kubernetes.client import WATCH_GRACE_SECONDS, Cluster, load_api
from scheduler.backends.kubernetes.failures import Expired
from scheduler.backends.kubernetes.watching import RELIST_SECONDS
from syringe_project.kubernetes_environment import KubernetesEnvironment
from tests.contract.descriptions import wait_until
from tests.fake_kubernetes import FakeCluster, Fault, kinds
from tests.integration.kubernetes.conftest import Connect, lesson

DAMAGED = (
    "current-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
    "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1', "
    "certificate-authority-data: '!'}}]\nusers: []\n"
)
SETTINGS = KubernetesEnvironment(_env_file=None)  # type: ignore[call-arg]


def client(kubeconfig: Path, *, seconds: float = 5.0, connections: int = 4) -> Cluster:
    settings = SETTINGS.model_copy(update={"kubeconfig": str(kubeconfig)})
    return Cluster(lambda: load_api(settings, connections=connections), timeout_seconds=seconds)


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """Return an empty cluster with every right, as the client can more than the backend does."""
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def api(cluster: FakeCluster, tmp_path: Path) -> Cluster:
    return client(cluster.kubeconfig(tmp_path / "kubeconfig"))


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }


def written(cluster: FakeCluster, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write the cluster's kubeconfig with a change."""
    config = yaml.safe_load(cluster.kubeconfig(path).read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "not: a kubeconfig",
        "- a\n- list\n",
        "{unclosed",
        "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\ncontexts: []\nclusters: []\n",
        DAMAGED,
    ],
)
def test_a_kubeconfig_that_is_none_is_a_sentence(
    settings: Any, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    settings.SYRINGE_KUBERNETES = SETTINGS.model_copy(update={"kubeconfig": str(path)})
    backend = KubernetesBackend()

    with pytest.raises(BackendUnavailable):
        backend.ensure(lesson())
    (problem,) = backend.preflight()

    assert "SYRINGE_KUBERNETES_KUBECONFIG" in problem
    # What tells nothing outside needs no cluster.
    assert backend.login(lesson(), "linux1").username


def test_a_kubeconfig_that_is_repaired_is_read_again(
    cluster: FakeCluster, connect: Connect, tmp_path: Path
) -> None:
    backend = connect(cluster)
    good = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text("")
    with pytest.raises(BackendUnavailable):
        list(backend.owned())

    (tmp_path / "kubeconfig").write_text(good)

    assert list(backend.owned()) == []


def test_a_context_is_chosen_by_its_name(cluster: FakeCluster, tmp_path: Path) -> None:
    def add_context(config: dict[str, Any]) -> None:
        config["contexts"][0]["name"] = "other"
        config["current-context"] = "missing"

    path = written(cluster, tmp_path / "kubeconfig", add_context)
    settings = SETTINGS.model_copy(update={"kubeconfig": str(path), "context": "other"})

    api = Cluster(lambda: load_api(settings, connections=1), timeout_seconds=5)

    assert api.version() >= (1, 29)


def test_a_token_that_was_replaced_is_read_again(cluster: FakeCluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    def point_to_file(config: dict[str, Any]) -> None:
        config["users"][0]["user"] = {"tokenFile": str(token)}

    api = client(written(cluster, tmp_path / "kubeconfig", point_to_file))
    with pytest.raises(BackendUnavailable, match="401"):
        api.version()

    token.write_text(cluster.token)

    assert api.version() >= (1, 29)


def test_threads_share_connections(cluster: FakeCluster, tmp_path: Path) -> None:
    api = client(cluster.kubeconfig(tmp_path / "kubeconfig"), connections=4)
    opened: set[Any] = set()
    accept = cluster._server.get_request

    def counted() -> Any:
        connection, address = accept()
        opened.add(address)
        return connection, address

    cluster._server.get_request = counted  # type: ignore[method-assign]

    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            list(pool.map(lambda _: api.list("Pod", labels="a=b"), range(8)))

    assert len(opened) <= 4
    assert len(cluster.calls) == 40


def test_the_pool_has_a_connection_for_each_thread_that_may_call(
    cluster: FakeCluster, connect: Connect, settings: Any
) -> None:
    settings.SYRINGE_WORKER_THREADS = 5
    threads = 5 + _SENDERS
    api = connect(cluster)._cluster()
    cluster.faults.add(Fault(delay=0.1, times=None))
    opened: list[Any] = []
    accept = cluster._server.get_request

    def counted() -> Any:
        opened.append(None)
        return accept()

    cluster._server.get_request = counted  # type: ignore[method-assign]

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(3):
            list(pool.map(lambda _: api.read("Namespace", "default"), range(threads)))

    # From a smaller pool connections would be thrown away and opened again.
    assert len(opened) <= threads


def test_nothing_holds_back_many_calls(cluster: FakeCluster, api: Cluster) -> None:
    bare = HTTPConnection("127.0.0.1", cluster._server.server_port)
    headers = {"Authorization": f"Bearer {cluster.token}"}

    def read_barely() -> None:
        bare.request("GET", "/api/v1/namespaces/default", headers=headers)
        assert bare.getresponse().read()

    def seconds(call: Callable[[], object]) -> float:
        call()
        begin = time.perf_counter()
        for _ in range(50):
            call()
        return time.perf_counter() - begin

    with closing(bare):
        shares = [
            seconds(lambda: api.read("Namespace", "default")) / seconds(read_barely)
            for _ in range(3)
        ]

    # A client of five calls a second takes a hundred times as long.
    assert min(shares) < 20


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Callable[[BaseHTTPRequestHandler], None]

    def do_GET(self) -> None:
        type(self).answer(self)

    do_DELETE = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay quiet."""


@contextmanager
def something_else(path: Path, answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Path]:
    """Serve what is no API server; yield a kubeconfig that points there."""
    handler = type("Handler", (_Answers,), {"answer": staticmethod(answer)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        cluster = {"server": f"http://127.0.0.1:{server.server_port}"}
        path.write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "a", "cluster": cluster}],
                    "users": [{"name": "a", "user": {"token": "a-secret-token"}}],
                    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                    "current-context": "a",
                }
            )
        )
        thread.start()
        try:
            yield path
        finally:
            server.shutdown()
            thread.join()


def page(status: int, content: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        page(200, b"<html>welcome</html>"),
        page(200, b"{}"),
        page(200, b"[]"),
        page(404, b"not here"),
        page(302, b"", Location="/elsewhere"),
        page(502, b"<html>bad gateway</html>"),
    ],
)
def test_what_is_no_api_server_never_looks_like_an_empty_cluster(
    tmp_path: Path, settings: Any, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    spec = lesson()
    with something_else(tmp_path / "kubeconfig", answer) as path:
        settings.SYRINGE_KUBERNETES = SETTINGS.model_copy(update={"kubeconfig": str(path)})
        backend = KubernetesBackend()

        for call in (
            lambda: backend.observe([spec.ref]),
            lambda: list(backend.owned()),
            lambda: backend.destroy(spec.ref),
        ):
            with pytest.raises((BackendUnavailable, BackendRejected)):
                call()


def test_a_token_is_not_sent_to_where_a_server_points(tmp_path: Path) -> None:
    asked = []

    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        page(302, b"", Location="/elsewhere")(request)

    with (
        something_else(tmp_path / "kubeconfig", elsewhere) as path,
        pytest.raises(BackendUnavailable, match="not a Kubernetes API server"),
    ):
        client(path).version()

    assert asked == ["/version"]


def test_an_answer_that_trickles_is_given_up(tmp_path: Path) -> None:
    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        try:
            for _ in range(400):
                request.wfile.write(b" ")
                request.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    begin = time.monotonic()
    with (
        something_else(tmp_path / "kubeconfig", trickle) as path,
        pytest.raises(BackendUnavailable, match="takes too long"),
    ):
        client(path, seconds=0.3).version()

    assert time.monotonic() - begin < 10


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, cluster: FakeCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def point_there(config: dict[str, Any]) -> None:
            port = silent.getsockname()[1]
            config["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{port}"

        path = written(cluster, tmp_path / "kubeconfig", point_there)
        begin = time.monotonic()

        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            client(path, seconds=0.3).version()

        assert time.monotonic() - begin < 10


def test_objects_are_written_read_listed_and_deleted(cluster: FakeCluster, api: Cluster) -> None:
    created = api.create(namespace("one", color="blue"))
    assert created is not None
    assert api.create(namespace("one")) is None
    applied = api.apply(namespace("one", color="green"))

    assert applied["metadata"]["uid"] == created["metadata"]["uid"]
    assert [
        found["metadata"]["name"] for found in api.list("Namespace", labels="color=green").items
    ] == ["one"]
    assert api.read("Namespace", "two") is None
    api.delete("Namespace", "one", uid=created["metadata"]["uid"])
    assert wait_until(lambda: api.read("Namespace", "one") is None)
    api.delete("Namespace", "one", uid=created["metadata"]["uid"])


def test_a_field_that_the_server_does_not_know_is_refused(api: Cluster) -> None:
    manifest = {**namespace("one"), "spec": {"finalisers": []}}

    with pytest.raises(BackendRejected):
        api.create(manifest)
    with pytest.raises(BackendRejected):
        api.apply(manifest)

    assert api.read("Namespace", "one") is None


def test_a_watch_yields_what_changes_and_ends(cluster: FakeCluster, api: Cluster) -> None:
    version = api.list("Namespace", labels="color=blue").resource_version
    for name, color in (("one", "blue"), ("two", "green"), ("three", "blue")):
        cluster.add(kinds.NAMESPACES, namespace(name, color=color))

    events = list(
        api.watch("Namespace", labels="color=blue", resource_version=version, timeout_seconds=1)
    )

    seen = [(e.type, e.object["metadata"]["name"]) for e in events if e.type != "BOOKMARK"]
    assert seen == [("ADDED", "one"), ("ADDED", "three")]
    # From where to watch on, although the last change was of something else.
    assert events[-1].type == "BOOKMARK"


def test_a_watch_from_too_long_ago_has_expired(cluster: FakeCluster, api: Cluster) -> None:
    version = api.list("Namespace", labels="a=b").resource_version
    cluster.add(kinds.NAMESPACES, namespace("one", a="b"))
    cluster.compact()

    with pytest.raises(Expired):
        list(api.watch("Namespace", labels="a=b", resource_version=version, timeout_seconds=1))


@pytest.mark.parametrize(("talks", "seconds"), [(True, 1), (False, 4)])
def test_a_watch_that_its_server_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, talks: bool, seconds: int
) -> None:
    """Each packet would let the socket wait as long as the first."""
    monkeypatch.setattr(client_module, "WATCH_GRACE_SECONDS", 0.2)
    over = threading.Event()
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}\n'

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        sent = 0
        with suppress(OSError):
            while not over.wait(0.1 if sent else seconds - 0.1):
                if talks or not sent:
                    request.wfile.write(b"%x\r\n%s\r\n" % (len(bookmark), bookmark))
                sent += 1

    begin = time.monotonic()
    with something_else(tmp_path / "kubeconfig", answer) as path:
        watch = client(path).watch(
            "Pod", labels="a=b", resource_version="1", timeout_seconds=seconds
        )
        try:
            with pytest.raises(BackendUnavailable):
                list(watch)
            took = time.monotonic() - begin
        finally:
            over.set()

    # By the socket's own limit the silent one would take 3.9 s and 4.2 s, the other for ever.
    assert took < 7.5


def test_no_watch_puts_off_the_next_list_for_more_than_thirty_seconds() -> None:
    assert RELIST_SECONDS[1] + 2 * WATCH_GRACE_SECONDS < 30


def test_a_watch_that_breaks_off_is_unavailable(cluster: FakeCluster, api: Cluster) -> None:
    version = api.list("Namespace", labels="a=b").resource_version
    cluster.add(kinds.NAMESPACES, namespace("one", a="b"))
    cluster.faults.add(Fault(verb="watch", drop="middle"))

    with pytest.raises(BackendUnavailable):
        list(api.watch("Namespace", labels="a=b", resource_version=version, timeout_seconds=1))
