"""The embedded PostgreSQL and Redis: real servers, started and stopped."""

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
import redis

from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.data_folder import DataFolder
from syringe_project.launcher.ports import free_port
from syringe_project.launcher.postgres import EmbeddedPostgres, Identity, choose_identity
from syringe_project.launcher.servers import ServersPlan, start_servers
from syringe_project.launcher.supervisor import Supervisor
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[3]
SITE_PACKAGES = Path(psycopg2.__file__).parents[1]
STANDARD_PORTS = (5432, 6379)
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.fixture
def console():
    return Console(io.StringIO())


@pytest.fixture
def make_plan(tmp_path):
    data = DataFolder(tmp_path / "data")
    data.make()

    def make(**fields):
        return ServersPlan(
            **{
                "database_url": "",
                "redis_url": "",
                "site_packages": SITE_PACKAGES,
                "folder": data.path,
                "logs": data.logs,
                "port": data.port,
                "secret": data.secret,
                "durable": False,
                **fields,
            }
        )

    yield make
    # Pytest would keep tens of megabytes for every test.
    shutil.rmtree(data.path)


@contextlib.contextmanager
def database(url):
    connection = psycopg2.connect(url, connect_timeout=5)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        yield cursor


def nobody_listens(url):
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    return False


def test_both_start_answer_stop_and_start_again_with_their_data(console, make_plan):
    with Supervisor(console) as supervisor:
        first = start_servers(console, supervisor, make_plan())
        with database(first.database_url) as cursor:
            cursor.execute("create table kept (word text)")
            cursor.execute("insert into kept values ('zażółć')")
            cursor.execute("show server_encoding")
            assert cursor.fetchone() == ("UTF8",)
        with contextlib.closing(redis.Redis.from_url(first.redis_url)) as client:
            assert client.ping()
    assert nobody_listens(first.database_url)
    assert nobody_listens(first.redis_url)

    with Supervisor(console) as supervisor:
        second = start_servers(console, supervisor, make_plan())
        with database(second.database_url) as cursor:
            cursor.execute("select word from kept")
            assert cursor.fetchall() == [("zażółć",)]
    assert second == first


def test_foreign_servers_on_standard_and_on_remembered_ports_do_not_matter(console, make_plan):
    with Supervisor(console) as supervisor:
        first = start_servers(console, supervisor, make_plan())
    taken = [urlsplit(first.database_url).port, urlsplit(first.redis_url).port, *STANDARD_PORTS]

    with contextlib.ExitStack() as foreign, Supervisor(console) as supervisor:
        for port in taken:
            # Somebody else may really have a server there.
            with contextlib.suppress(OSError):
                foreign.enter_context(socket.create_server(("127.0.0.1", port)))
        second = start_servers(console, supervisor, make_plan())
        ports = {urlsplit(second.database_url).port, urlsplit(second.redis_url).port}
        with database(second.database_url) as cursor:
            cursor.execute("select 1")
        assert ports.isdisjoint(taken)


def test_a_port_taken_at_the_last_moment_is_replaced(console, make_plan):
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        offered = {"postgresql_port": foreign.getsockname()[1], "redis_port": free_port()}

        def port(name):
            return offered.pop(name, None) or free_port()

        with Supervisor(console) as supervisor:
            servers = start_servers(console, supervisor, make_plan(port=port))
            with database(servers.database_url) as cursor:
                cursor.execute("select 1")


def test_strangers_on_this_machine_do_not_get_in(console, make_plan):
    with Supervisor(console) as supervisor:
        servers = start_servers(console, supervisor, make_plan())
        password = urlsplit(servers.database_url).password
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(servers.database_url.replace(password, "guess"), connect_timeout=5)
        stranger = servers.redis_url.rpartition("@")[2]
        client = redis.Redis.from_url(f"redis://{stranger}")
        with contextlib.closing(client), pytest.raises(redis.AuthenticationError):
            client.ping()
        lines = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                lines.append((process / "cmdline").read_bytes())
        assert not any(password.encode() in line for line in lines)


def test_named_servers_are_used_and_none_is_embedded(console, make_plan):
    named = {
        "database_url": os.environ["SYRINGE_DATABASE_URL"],
        "redis_url": os.environ["SYRINGE_REDIS_URL"],
    }
    with Supervisor(console) as supervisor:
        plan = make_plan(**named)
        servers = start_servers(console, supervisor, plan)
    assert (servers.database_url, servers.redis_url) == tuple(named.values())
    assert not (plan.folder / "postgresql").exists()


RUN_UNTIL_KILLED = """
import sys
from pathlib import Path
from syringe_project.launcher.console import Console
from syringe_project.launcher.data_folder import DataFolder
from syringe_project.launcher.servers import ServersPlan, start_servers
from syringe_project.launcher.supervisor import Supervisor
data = DataFolder(Path(sys.argv[1]))
with Supervisor(Console()) as supervisor:
    plan = ServersPlan("", "", Path(sys.argv[2]), data.path, data.logs, data.port, data.secret)
    servers = start_servers(Console(), supervisor, plan)
    print("READY", flush=True)
    supervisor.run()
"""


def test_after_kill_9_of_launcher_and_servers_the_next_start_works(console, make_plan):
    plan = make_plan()
    launcher = subprocess.Popen(
        [sys.executable, "-c", RUN_UNTIL_KILLED, str(plan.folder), str(SITE_PACKAGES)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with launcher.stdout:
        assert any(line.strip() == "READY" for line in launcher.stdout)
        lock = plan.folder / "postgresql" / "data" / "postmaster.pid"
        postmaster = int(lock.read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        launcher.kill()
        launcher.wait(PATIENCE)
    assert lock.exists()
    # The lock may name a process that has nothing to do with it: ids are reused.
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    with Supervisor(console) as supervisor:
        servers = start_servers(console, supervisor, plan)
        with database(servers.database_url) as cursor:
            cursor.execute("select 1")


def test_a_server_that_outlived_its_launcher_is_stopped_first(console, make_plan, tmp_path):
    plan = make_plan()
    folder = plan.folder / "postgresql"
    folder.mkdir(mode=0o700)
    server = EmbeddedPostgres(
        site_packages=SITE_PACKAGES,
        folder=folder,
        port=plan.port("postgresql_port"),
        password=plan.secret("postgresql_password"),
        identity=choose_identity(SITE_PACKAGES, folder),
        durable=False,
    )
    server.prepare()
    service = server.service(plan.logs)
    left = subprocess.Popen(
        service.command, env=dict(service.environment), stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: service.is_ready(left.pid), what="PostgreSQL")
        with Supervisor(console) as supervisor:
            servers = start_servers(console, supervisor, plan)
            assert left.wait(PATIENCE) == 0
            with database(servers.database_url) as cursor:
                cursor.execute("select 1")
    finally:
        if left.poll() is None:
            left.kill()
            left.wait(PATIENCE)


def test_an_interrupted_first_start_leaves_nothing_that_the_next_one_trips_over(console, make_plan):
    plan = make_plan()
    unfinished = plan.folder / "postgresql" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("half")

    with Supervisor(console) as supervisor:
        start_servers(console, supervisor, plan)
        assert not unfinished.exists()


def test_data_of_another_version_is_refused_and_not_touched(console, make_plan):
    plan = make_plan()
    data = plan.folder / "postgresql" / "data"
    data.mkdir(parents=True, mode=0o700)
    (data / "PG_VERSION").write_text("15\n")

    with Supervisor(console) as supervisor, pytest.raises(Refusal, match="made by PostgreSQL 15"):
        start_servers(console, supervisor, plan)

    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_where_user_namespaces_are_blocked_root_runs_a_copy_as_nobody(console, make_plan):
    plan = make_plan()
    folder = plan.folder / "postgresql"
    folder.mkdir(mode=0o700)
    server = EmbeddedPostgres(
        site_packages=SITE_PACKAGES,
        folder=folder,
        port=free_port(),
        password="secret",
        identity=Identity.NOBODY,
        durable=False,
    )
    try:
        server.prepare()
        with Supervisor(console) as supervisor:
            supervisor.start(server.service(plan.logs))
            with database(server.url) as cursor:
                cursor.execute("select 1")
            assert server.data.stat().st_uid == 65534
            # The folder that others may not enter is not opened for it.
            assert not server.base.is_relative_to(plan.folder)
    finally:
        if server.base != folder:
            shutil.rmtree(server.base)
