"""From descriptions to plans and arguments, without a process."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from scheduler.backends.base import (
    BackendRejected,
    ConnectionSpec,
    EndpointSpec,
    EnvironmentRef,
    EnvironmentSpec,
    ImageSpec,
    LessonSpec,
    PresentationSpec,
    ReasonCode,
    StageSpec,
)
from scheduler.backends.local import causes, identity, network, planning, preflight, sandbox
from scheduler.backends.local.host import host_plan
from scheduler.backends.local.jobs import JobRequest, job_command, job_environment, program_files
from scheduler.backends.local.namespaces import unused_uid
from scheduler.backends.local.plan import HostPlan, Plan
from scheduler.backends.local.recipes import RECIPES

UTILITY = ImageSpec(slug="utility", ssh_user="antidote", ssh_password="inside")
HOST = HostPlan(
    system=[["bind", "/usr", "/usr"], ["symlink", "usr/bin", "/bin"]],
    configuration=[],
    python_prefix="/somewhere/python",
    python="/opt/syringe/python/bin/python3.11",
    packages=["/venv/site-packages/asyncssh", "/venv/site-packages/typing_extensions.py"],
    site_packages="/venv/site-packages",
    inside="/project/scheduler/backends/local/inside",
)


def lesson(*endpoints: EndpointSpec, **changes: Any) -> LessonSpec:
    return LessonSpec(
        **{
            "slug": "a-lesson",
            "digest": "d",
            "bundle_sha256": "0" * 64,
            "endpoints": endpoints or (EndpointSpec("linux1", UTILITY),),
            "stages": (StageSpec(),),
            **changes,
        }
    )


def planned(description: LessonSpec) -> Plan:
    spec = EnvironmentSpec(
        ref=EnvironmentRef(UUID(int=7), 2),
        session_id=UUID(int=8),
        lesson=description,
        access_password="outside",
        read_bundle=lambda: b"",
    )
    return planning.environment_plan(
        spec, instance="test", folder=Path("/run/it"), uid=None, host=HOST
    )


def test_a_plan_is_the_same_each_time_and_crosses_as_json() -> None:
    description = lesson(
        EndpointSpec("a", UTILITY),
        EndpointSpec("b", UTILITY),
        connections=(ConnectionSpec("a", "b"),),
    )

    assert planned(description) == planned(description)
    assert json.loads(json.dumps(planned(description))) == planned(description)


def test_addresses_and_macs_are_unique() -> None:
    names = [f"n{number}" for number in range(300)]
    connections = tuple(ConnectionSpec(a, b) for a, b in pairwise(names))
    plan = planned(
        lesson(*(EndpointSpec(name, UTILITY) for name in names), connections=connections)
    )

    interfaces = [entry for endpoint in plan["endpoints"] for entry in endpoint["interfaces"]]
    macs = [entry["mac"] for entry in interfaces]
    assert len(set(macs)) == len(macs) == 300 + 2 * 299
    assert len(set(plan["hosts"].values()) | {plan["gateway"]}) == 301
    assert not any(address.startswith(plan["job_addresses"]) for address in plan["hosts"].values())


def test_the_lessons_network_avoids_declared_subnets() -> None:
    subnets = ("100.64.3.0/24", "100.65.0.0/28")
    description = lesson(
        EndpointSpec("a", UTILITY),
        EndpointSpec("b", UTILITY),
        connections=tuple(ConnectionSpec("a", "b", subnet) for subnet in subnets),
    )

    assert planned(description)["gateway"] == "198.18.0.1"


def test_a_lesson_that_takes_every_network_is_refused() -> None:
    description = lesson(
        EndpointSpec("a", UTILITY),
        EndpointSpec("b", UTILITY),
        connections=(ConnectionSpec("a", "b", "0.0.0.0/0"),),
    )

    with pytest.raises(BackendRejected, match="overlaps"):
        planned(description)


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        (ConnectionSpec("a", "nobody"), "nobody"),
        (ConnectionSpec("a", "b", "10.0.0.0/33"), "10.0.0.0/33"),
        (ConnectionSpec("a", "b", "x"), "subnet"),
        (ConnectionSpec("a", "b", "10.0.0.1/32"), "no room"),
    ],
)
def test_a_connection_that_cannot_be_is_refused(connection: ConnectionSpec, problem: str) -> None:
    description = lesson(
        EndpointSpec("a", UTILITY), EndpointSpec("b", UTILITY), connections=(connection,)
    )

    with pytest.raises(BackendRejected, match=problem):
        planned(description)


def test_links_take_the_images_interface_names_first() -> None:
    image = replace(
        UTILITY, network_interfaces=("eth0", "net1", "lo", "a name too long for it", "net1")
    )
    connection = ConnectionSpec("a", "b", "10.1.0.0/24")
    plan = planned(
        lesson(
            EndpointSpec("a", image),
            EndpointSpec("b", UTILITY),
            connections=(connection, connection, connection),
        )
    )

    assert [entry["name"] for entry in plan["endpoints"][0]["interfaces"]] == [
        *("eth0", "net1", "eth1", "eth2"),
    ]
    assert [entry["name"] for entry in plan["endpoints"][1]["interfaces"]] == [
        *("eth0", "eth1", "eth2", "eth3"),
    ]
    assert plan["endpoints"][0]["interfaces"][1]["address"] == "10.1.0.1/24"
    assert plan["endpoints"][1]["interfaces"][1]["address"] == "10.1.0.2/24"


@pytest.mark.parametrize(
    ("image", "expected", "user"),
    [
        (UTILITY, [["antidote", "inside"], ["antidote", "inside"]], "antidote"),
        (
            replace(UTILITY, config_user="author", config_password="authors"),
            [["author", "authors"], ["antidote", "inside"]],
            "author",
        ),
    ],
)
def test_the_images_credentials_count_inside(
    image: ImageSpec, expected: list[list[str]], user: str
) -> None:
    endpoint = planned(lesson(EndpointSpec("a", image)))["endpoints"][0]

    assert endpoint["credentials"] == expected
    assert endpoint["configuration"]["username"] == user
    assert endpoint["access_password"] == "outside"


def test_an_image_without_passwords_gets_one_for_its_configurator() -> None:
    endpoint = planned(lesson(EndpointSpec("a", ImageSpec(slug="utility"))))["endpoints"][0]

    password = endpoint["configuration"]["password"]
    assert endpoint["user"] == planning.DEFAULT_USER
    assert endpoint["credentials"] == [[planning.DEFAULT_USER, password]]
    assert len(password) == 64
    assert "outside" not in password


def test_ssh_listens_where_presentations_say_and_on_22() -> None:
    endpoint = EndpointSpec(
        "a",
        UTILITY,
        presentations=(
            PresentationSpec("one", 2222, "ssh"),
            PresentationSpec("two", 22, "ssh"),
            PresentationSpec("page", 8080, "http"),
        ),
    )

    plan = planned(lesson(endpoint))["endpoints"][0]

    assert plan["ssh_ports"] == [22, 2222]
    assert plan["ports"] == [2222, 22, 8080]
    assert plan["web_ports"] == []


@pytest.mark.parametrize(("ports", "expected"), [((), [8080]), ((80, 8081), [80, 8081])])
def test_the_web_server_listens_where_presentations_say(
    ports: tuple[int, ...], expected: list[int]
) -> None:
    presentations = tuple(PresentationSpec(f"p{port}", port, "http") for port in ports)
    endpoint = EndpointSpec("a", ImageSpec(slug="webserver"), presentations=presentations)

    assert planned(lesson(endpoint))["endpoints"][0]["web_ports"] == expected


@pytest.mark.parametrize("name", ["-a", "a b", "a;b", "", "a" * 64, "_jobs"])
def test_an_endpoint_that_cannot_be_a_host_is_refused(name: str) -> None:
    with pytest.raises(BackendRejected, match="host name"):
        planning.lesson_check(lesson(EndpointSpec(name, UTILITY)))


@pytest.mark.parametrize("user", ["Ä", "a b", "-x", "x:y", "x\ny"])
def test_a_user_that_cannot_be_one_is_refused(user: str) -> None:
    with pytest.raises(BackendRejected, match="user"):
        planning.lesson_check(lesson(EndpointSpec("a", replace(UTILITY, ssh_user=user))))


def test_an_image_without_a_recipe_is_refused_by_name() -> None:
    with pytest.raises(BackendRejected, match=r"'vqfx'.*'leaf'.*utility") as refusal:
        planning.lesson_check(lesson(EndpointSpec("leaf", ImageSpec(slug="vqfx"))))

    assert refusal.value.reason_code == ReasonCode.IMAGE_MISSING


def test_napalm_matters_only_where_a_stage_uses_it() -> None:
    endpoint = EndpointSpec("a", UTILITY, configuration_type="napalm")
    used = lesson(endpoint, stages=(StageSpec(configurations={"a": "stage0/configs/a-junos.txt"}),))

    planning.lesson_check(lesson(endpoint))
    with pytest.raises(BackendRejected, match="napalm") as refusal:
        planning.lesson_check(used)
    assert refusal.value.reason_code == ReasonCode.CONFIGURATION_UNSUPPORTED


def test_every_recipe_is_documented() -> None:
    from scheduler.backends.local import recipes

    assert all(f"``{slug}``" in (recipes.__doc__ or "") for slug in RECIPES)


def test_sandbox_arguments_isolate_everything_but_the_network() -> None:
    box = sandbox.Box("linux1", "/home/antidote", "/syringe/own/etc/linux1", "/d", as_pid_1=True)

    arguments = sandbox.endpoint_arguments(box, HOST)

    for flag in ("user", "pid", "uts", "ipc", "cgroup-try"):
        assert f"--unshare-{flag}" in arguments
    for flag in ("--disable-userns", "--die-with-parent", "--as-pid-1", "--new-session"):
        assert flag in arguments
    assert "--unshare-net" not in arguments
    assert "--setenv" not in arguments
    assert ("--cap-drop", "ALL") in set(pairwise(arguments))
    assert arguments[-4:] == ["--remount-ro", "/", "--chdir", "/home/antidote"]


@pytest.mark.parametrize("job", [False, True])
def test_only_the_disk_is_writable(job: bool) -> None:
    box = sandbox.Box("x", "/home/x", "/syringe/own/etc/x", "/d", lesson="/l" if job else "")

    arguments = (
        sandbox.job_arguments(box, HOST, "/p") if job else sandbox.endpoint_arguments(box, HOST)
    )

    triples = list(zip(arguments, arguments[1:], arguments[2:], strict=False))
    writable = {target for flag, _, target in triples if flag == "--bind"}
    sources = [source for flag, source, _ in triples if flag == "--bind"]
    assert writable == {"/dev/shm", "/home/x", "/tmp", "/var/tmp"} | (
        set() if job else {"/antidote"}
    )
    assert all(source.startswith("/d/") for source in sources)
    readable = {source for flag, source, _ in triples if flag == "--ro-bind"}
    for forbidden in ("/", "/home", "/root", "/run", "/var", "/tmp", "/etc", "/sys", "/project"):
        assert forbidden not in readable
    assert ("/syringe/site-packages" in readable) == job


def test_this_machines_allow_list_holds_nothing_private() -> None:
    found = host_plan()

    paths = {entry[2] for entry in found["system"]}
    assert "/usr" in paths
    assert paths <= {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}
    assert not {"shadow", "passwd", "hosts", "resolv.conf", "ssh"} & set(found["configuration"])
    assert {Path(path).name.split(".")[0] for path in found["packages"]} >= {
        "asyncssh",
        "cryptography",
    }


@pytest.mark.parametrize(("user", "home"), [("antidote", "/home/antidote"), ("root", "/root")])
def test_etc_knows_one_user(user: str, home: str) -> None:
    files = identity.etc_files(
        hostname="linux1", user=user, home=home, hosts={"linux1": "100.64.0.10"}, search_path="/bin"
    )

    people = [line.split(":") for line in files["passwd"].splitlines()]
    assert [entry[2] for entry in people if entry[0] == user] == ["1000"]
    assert [entry[5] for entry in people if entry[0] == user] == [home]
    assert len({entry[0] for entry in people}) == len(people)
    assert "100.64.0.10 linux1\n" in files["hosts"]
    assert files["resolv.conf"] == ""


def test_jobs_run_as_authors_know_it() -> None:
    endpoint = EndpointSpec("linux1", UTILITY, configuration_type="python")
    stages = (StageSpec(configurations={"linux1": "stage0/configs/linux1.py"}),)
    plan = planned(lesson(endpoint, stages=stages))
    configuration = plan["endpoints"][0]["configuration"]
    request = JobRequest("linux1", 1, 0, 60)

    assert job_command(configuration, request) == ["python", "/antidote/stage0/configs/linux1.py"]
    ansible = {**configuration, "kind": "ansible"}
    assert job_command(ansible, request) == [  # type: ignore[arg-type]
        *("ansible-playbook", "-vvvv", "-i", "linux1,", "/antidote/stage0/configs/linux1.py"),
    ]
    variables = job_environment(request, configuration, plan)
    assert {
        "ANTIDOTE_TARGET_HOST": "linux1",
        "ANTIDOTE_TARGET_USERNAME": "antidote",
        "ANTIDOTE_TARGET_PASSWORD": "inside",
        "ANSIBLE_HOST_KEY_CHECKING": "False",
    }.items() <= variables.items()
    assert "outside" not in variables.values()
    assert variables["PATH"].startswith(f"{sandbox.PROGRAMS_INSIDE}:")
    assert {"python", "python3", "ansible-playbook"} <= program_files(HOST).keys()


def test_network_lines_are_for_ip() -> None:
    assert network.uplink_lines("e0", 42, "02:53:59:00:00:01") == [
        "link add e0 type veth peer name eth0 address 02:53:59:00:00:01 netns 42",
        "link set e0 master br0 up",
    ]
    assert network.kernel_settings(forwarding=True)["ipv4/ip_forward"] == "1"
    assert network.kernel_settings(forwarding=False)["ipv4/ip_forward"] == "0"


@pytest.mark.parametrize(
    ("uid_map", "low", "high"),
    [
        ("0 0 4294967295\n", 0x68000000, 0x69000000),
        ("0 100000 65536\n", 61_184, 65_520),
    ],
)
def test_an_unused_id_fits_this_machine(uid_map: str, low: int, high: int) -> None:
    for number in range(20):
        uid = unused_uid(UUID(int=number << 96).hex, uid_map)
        assert low <= uid < high


@pytest.mark.parametrize(
    ("step", "number", "sentence"),
    [
        ("namespaces", 28, "user.max_user_namespaces"),
        ("namespaces", 1, "kernel.unprivileged_userns_clone"),
        ("identity", 1, "kernel.apparmor_restrict_unprivileged_userns"),
        ("mounts", 1, "CAP_SYS_ADMIN"),
        ("proc", 1, "/proc"),
        ("network", 95, "veth"),
        ("lesson", 28, "larger than an endpoint's disk"),
        ("disk", 5, "disk: [Errno 5]"),
    ],
)
def test_causes_are_named(step: str, number: int, sentence: str) -> None:
    with pytest.raises(causes.StartFailure) as failure, causes.step(step):
        raise OSError(number, "what the kernel says")

    assert sentence in str(failure.value)
    assert "what the kernel says" in str(failure.value)


def test_an_old_bubblewrap_is_named() -> None:
    assert "0.8" in causes.explain_sandbox("bwrap: Unknown option --disable-userns")
    assert causes.explain_sandbox("anything else") == "anything else"


def test_missing_programs_are_named_with_their_packages() -> None:
    messages = preflight.missing_programs(lambda path: path != "/usr/bin/bwrap")

    assert messages == ["/usr/bin/bwrap is missing: install the package bubblewrap (0.8 or newer)."]
