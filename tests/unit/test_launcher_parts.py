"""The launcher's parts that need no server."""

import io
import os
import socket
import stat

import pytest
from dotenv import dotenv_values

from syringe_project.launcher import ports, system_packages
from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.data_folder import DataFolder, make_run_folder, quote, unquote
from syringe_project.launcher.python_environment import PythonEnvironment
from syringe_project.launcher.servers import Servers, require_answer
from syringe_project.launcher.services import application_services
from syringe_project.launcher.settings import front_port, installation_settings, positive_number
from syringe_project.launcher.supervisor import restart_delay


@pytest.fixture
def data(tmp_path):
    folder = DataFolder(tmp_path / "data")
    folder.make()
    return folder


@pytest.fixture
def console():
    return Console(io.StringIO())


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_steps_are_lines_with_their_time_and_no_colour_off_a_terminal():
    stream = io.StringIO()
    console = Console(stream)
    with console.step("Did a thing") as step:
        step.text = "Did another thing"
    console.refuse("No.")

    first, second = stream.getvalue().splitlines()
    assert first.split() == [first.split()[0], "s", "Did", "another", "thing"]
    assert float(first.split()[0]) < 5
    assert second == "No."


def test_a_step_that_fails_is_not_reported_as_done():
    stream = io.StringIO()
    with pytest.raises(Refusal), Console(stream).step("Did a thing"):
        raise Refusal("no")
    assert stream.getvalue() == ""


def test_restarts_back_off_from_half_a_second_to_half_a_minute():
    delays = [restart_delay(n) for n in range(1, 12)]

    assert delays[:4] == [0.5, 1, 2, 4]
    assert delays == sorted(delays)
    assert delays[-1] == 30


def test_a_free_port_is_free_until_somebody_listens():
    port = ports.free_port()
    assert ports.is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not ports.is_free(port)


def test_a_port_taken_on_ipv6_is_not_free_either():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    with listener:
        assert not ports.is_free(listener.getsockname()[1])


def test_a_taken_port_is_refused_in_one_sentence_with_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Refusal) as refusal:
            ports.require_free(port)
    text = str(refusal.value)
    assert text.startswith(f"Port {port} is taken by another program")
    assert "SYRINGE_PORT=" in text
    assert "\n" not in text


@pytest.mark.parametrize("value", ["", "0", "65536", "80a", "-1", "٣"])
def test_a_port_that_is_none_is_refused(value):
    with pytest.raises(Refusal, match="SYRINGE_PORT"):
        front_port({"SYRINGE_PORT": value})


def test_numbers_have_defaults_and_must_be_numbers():
    assert positive_number({}, "SYRINGE_WORKER_THREADS", 8) == 8
    assert positive_number({"SYRINGE_WORKER_THREADS": "3"}, "SYRINGE_WORKER_THREADS", 8) == 3
    with pytest.raises(Refusal, match="SYRINGE_WORKER_THREADS"):
        positive_number({"SYRINGE_WORKER_THREADS": "many"}, "SYRINGE_WORKER_THREADS", 8)


def test_two_data_folders_never_share_a_name_a_run_folder_or_a_key(tmp_path):
    servers = Servers(database_url="postgresql://a/b", redis_url="redis://a")
    settings = []
    for name in ("one", "two"):
        folder = DataFolder(tmp_path / name)
        folder.make()
        settings.append(installation_settings({}, folder, servers))

    for variable in ("SYRINGE_INSTANCE", "SYRINGE_RUN_FOLDER", "SYRINGE_SECRET_KEY"):
        assert settings[0][variable] != settings[1][variable]


def test_given_settings_win_except_over_where_the_servers_really_are(data):
    given = {"SYRINGE_INSTANCE": "mine", "SYRINGE_TIER": "ptr", "SYRINGE_SECRET_KEY": "k" * 40}
    servers = Servers(database_url="postgresql://a/b", redis_url="redis://a")

    settings = installation_settings(given, data, servers)

    assert {name: settings[name] for name in given} == given
    assert settings["SYRINGE_DATABASE_URL"] == "postgresql://a/b"


@pytest.mark.parametrize(
    "value",
    ["plain", "", "with spaces # and", "quo'te", "back\\slash", "a\\'b", '{"a": "b"}', "$x"],
)
def test_settings_survive_the_file_that_manage_py_reads(data, value):
    data.write_settings({"SYRINGE_A": value, "SYRINGE_B": "next"})

    assert unquote(quote(value)) == value
    assert data.settings() == {"SYRINGE_A": value, "SYRINGE_B": "next"}
    assert dotenv_values(data.environment_file) == {"SYRINGE_A": value, "SYRINGE_B": "next"}
    assert stat.S_IMODE(data.environment_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("value", ["two\nlines", "in${terpolated}"])
def test_settings_that_the_file_cannot_hold_are_refused(value):
    with pytest.raises(Refusal):
        quote(value)


def test_secrets_and_ports_are_remembered_and_closed_to_others(data):
    secret = data.secret("secret_key")
    port = data.port("redis_port")
    again = DataFolder(data.path)

    assert len(secret) == 40
    assert again.secret("secret_key") == secret
    assert again.port("redis_port") == port
    assert stat.S_IMODE((data.path / "remembered.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


def test_a_remembered_port_that_somebody_took_is_replaced(data):
    port = data.port("redis_port")
    with socket.create_server(("127.0.0.1", port)):
        other = data.port("redis_port")
    assert other != port
    assert data.port("redis_port") == other


def test_damaged_memory_is_refused_and_not_replaced_by_new_secrets(data):
    (data.path / "remembered.json").write_text("{")
    with pytest.raises(Refusal, match="damaged"):
        data.secret("secret_key")


def test_one_launcher_at_a_time(data):
    data.lock()
    other = DataFolder(data.path)
    assert other.is_locked()
    with pytest.raises(Refusal, match="already runs here, at http://localhost:8000"):
        other.lock()

    data.unlock()

    assert not other.is_locked()
    other.lock()
    assert not other.was_killed
    other.unlock()


def test_a_lock_left_by_a_killed_launcher_is_taken_and_known_as_such(data):
    (data.path / "lock").write_text("12345\n")
    data.lock()
    assert data.was_killed
    data.unlock()


def test_the_run_folder_is_made_private_and_a_link_is_refused(tmp_path):
    make_run_folder(tmp_path / "run")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700

    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(Refusal, match="SYRINGE_RUN_FOLDER"):
        make_run_folder(tmp_path / "link")


def test_a_named_server_that_does_not_answer_is_refused_without_its_password():
    port = ports.free_port()
    with pytest.raises(Refusal) as refusal:
        require_answer("SYRINGE_DATABASE_URL", f"postgresql://user:hidden@127.0.0.1:{port}/name")
    assert f"127.0.0.1:{port}" in str(refusal.value)
    assert "hidden" not in str(refusal.value)


def test_a_named_server_that_answers_is_accepted():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        require_answer("SYRINGE_REDIS_URL", f"redis://127.0.0.1:{listener.getsockname()[1]}/3")


def test_missing_packages_are_those_of_missing_programs(tmp_path, monkeypatch):
    program(tmp_path, "present-program", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = {"present-program": "present", "absent-program": "absent"}
    assert system_packages.missing_packages(wanted) == ["absent"]


def test_a_user_is_told_the_package_and_the_command(tmp_path, monkeypatch, console):
    program(tmp_path, "apt-get", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refusal) as refusal:
        system_packages.ensure_packages(console, ["bubblewrap"])
    assert "bubblewrap" in str(refusal.value)
    assert "`sudo apt-get install bubblewrap`" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_root_installs_packages_itself(tmp_path, monkeypatch, console):
    log = tmp_path / "calls"
    program(tmp_path, "apt-get", f'echo "$@" >> {log}')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    system_packages.ensure_packages(console, ["bubblewrap", "iproute2"])
    assert log.read_text().splitlines() == [
        "-q update",
        "-q install --yes --no-install-recommends bubblewrap iproute2",
    ]


def test_an_installation_that_fails_names_the_package_and_the_reason(
    tmp_path, monkeypatch, console
):
    program(tmp_path, "apt-get", "echo 'E: no network' >&2; exit 100")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Refusal, match=r"could not install bubblewrap \(E: no network\)"):
        system_packages.ensure_packages(console, ["bubblewrap"])


@pytest.mark.parametrize(
    ("backend", "serves_bundles"),
    [
        ({}, False),
        ({"SYRINGE_BACKEND": "scheduler.backends.local.LocalBackend"}, False),
        ({"SYRINGE_BACKEND": "scheduler.backends.kubernetes.KubernetesBackend"}, True),
    ],
)
def test_bundles_are_served_where_pods_fetch_them(tmp_path, backend, serves_bundles):
    settings = {"SYRINGE_INSTANCE": "it", "SYRINGE_RUN_FOLDER": str(tmp_path), **backend}

    services = application_services(PythonEnvironment(tmp_path), settings, tmp_path)

    names = {service.name for service in services}
    assert ("bundle service" in names) == serves_bundles
    assert {"web", "gateway", "beat"} < names
