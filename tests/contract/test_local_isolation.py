"""From inside an endpoint: what is its own, and what stays out of reach."""

import asyncio
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import asyncssh
import pytest

from tests.contract.descriptions import Shell

pytestmark = [pytest.mark.local_backend, pytest.mark.xdist_group("local-pair")]

PROJECT = Path(__file__).resolve().parents[2]
FIND = "find / -path /usr -prune -o -path /proc -prune -o -path /opt/syringe/python -prune -o"


def python(code: str) -> str:
    """Return a command that runs a program in the endpoint's python."""
    return f"python3 - <<'END'\n{code}\nEND"


def libc(call: str) -> str:
    """Return a program that makes a system call and says why it failed."""
    return (
        "import ctypes, os; library = ctypes.CDLL(None, use_errno=True)\n"
        f"assert library.{call} == 0, os.strerror(ctypes.get_errno())"
    )


@pytest.fixture
def host_listener() -> Iterator[int]:
    """Return the port of a service on the machine's loopback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["pid", "mnt", "net", "user", "ipc", "uts"])
def test_namespaces_are_its_own(pair: Shell, kind: str) -> None:
    seen = [
        pair.run(f"readlink /proc/self/ns/{kind}", name).output for name in ("linux1", "linux2")
    ]

    assert all(re.fullmatch(rf"{kind}:\[\d+\]", text) for text in seen)
    assert len({*seen, str(Path(f"/proc/self/ns/{kind}").readlink())}) == 3


def test_it_sees_an_allow_list_of_folders(pair: Shell) -> None:
    entries = set(pair.run("ls /").output.split())

    assert entries <= {
        *("antidote", "bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "mnt"),
        *("opt", "proc", "run", "sbin", "srv", "tmp", "usr", "var"),
    }
    assert pair.run("ls /home /opt/syringe").output.split() == [
        *("/home:", "antidote", "/opt/syringe:"),
        *pair.run("ls /opt/syringe").output.split(),
    ]


def test_files_of_the_machine_are_out_of_reach(pair: Shell, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not read")

    for path in (secret, PROJECT, Path.home() / ".ssh", "/root", "/sys", "/boot", "/etc/shadow"):
        assert pair.run(f"cat {path} || ls {path}").code != 0, path
    assert pair.run(f"{FIND} -name manage.py -print 2>/dev/null").output == ""


def test_processes_of_the_machine_and_of_others_are_out_of_sight(pair: Shell) -> None:
    marker = f"sleep 300.{secrets.randbelow(10**6):06d}"
    pair.run(f"nohup {marker} >/dev/null 2>&1 &", "linux2")

    seen = pair.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").output

    assert marker not in seen
    assert "pytest" not in seen
    assert "bwrap" not in seen
    assert pair.run(f"pkill -f '{marker}'", "linux2").code == 0


def test_services_on_the_machines_loopback_are_out_of_reach(
    pair: Shell, host_listener: int
) -> None:
    for address in ("127.0.0.1", "100.64.0.1"):
        result = pair.run(f"timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/{host_listener}'")
        assert result.code != 0
        assert "refused" in result.output


@pytest.mark.parametrize("address", ["169.254.169.254", "192.0.2.1", "8.8.8.8", "10.0.0.1"])
def test_no_other_network_is_reached(pair: Shell, address: str) -> None:
    result = pair.run(f"timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/80'")

    assert result.code != 0
    assert "unreachable" in result.output


def test_the_machines_own_address_is_out_of_reach(pair: Shell) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with suppress(OSError):
            probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
    if address in ("0.0.0.0", "127.0.0.1"):
        pytest.skip("this machine has no address but loopback")

    result = pair.run(f"timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/22'")

    assert "unreachable" in result.output


def test_abstract_sockets_of_the_machine_are_out_of_reach(pair: Shell) -> None:
    name = f"syringe-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        with socket.socket(socket.AF_UNIX) as from_outside:
            from_outside.connect(f"\0{name}")

        result = pair.run(
            python(f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')")
        )

    assert "ConnectionRefusedError" in result.output
    assert pair.run("cat /proc/net/unix").output.count("@") == 0


@pytest.mark.parametrize(
    "attempt",
    [
        "unshare --user true",
        "unshare --map-root-user --mount true",
        "unshare --net true",
        "mount -t tmpfs none /mnt",
        "mount --bind /home /mnt",
        "umount /proc",
        "chroot / true",
        "ip link set eth0 down",
        "ip addr add 100.64.0.99/16 dev eth0",
        "ip route add default via 100.64.0.1",
        "hostname other",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        "echo 1 >/proc/sys/kernel/sysrq",
        "echo 100000 >/proc/sys/user/max_user_namespaces",
        "echo c >/proc/sysrq-trigger",
        "head -c 1 /proc/kcore",
        "dmesg",
        "mknod /tmp/disk b 254 0",
        "nsenter --target 1 --net true",
        "su root -c true",
        "cat /proc/1/environ",
        "head -c 1 /proc/1/mem",
        "ls /proc/1/fd",
        "echo x >/usr/bin/x",
        "echo x >/etc/hosts",
        "echo x >/opt/syringe/x",
        "echo x >/dev/x",
        "echo x >/x",
        "renice -n -5 $$",
        "echo -1000 >/proc/self/oom_score_adj",
    ],
)
def test_attempt_is_refused(pair: Shell, attempt: str) -> None:
    assert pair.run(f"export PATH=$PATH:/usr/sbin:/sbin; {attempt}").code != 0


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)",
        "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "import os; os.setuid(0)",
        "import os; os.setgroups([0])",
        "import os; os.chown('/tmp', 0, 0)",
        "import resource as r; r.setrlimit(r.RLIMIT_NPROC, (r.RLIM_INFINITY, r.RLIM_INFINITY))",
        libc("ptrace(16, 1, 0, 0)"),
        libc("reboot(0x01234567)"),
    ],
)
def test_system_call_is_refused(pair: Shell, code: str) -> None:
    result = pair.run(python(code))

    assert re.search("PermissionError|not permitted|not allowed|Invalid argument", result.output)


def test_it_has_no_rights_and_cannot_gain_any(pair: Shell) -> None:
    status = pair.run("cat /proc/self/status").output

    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert re.search(rf"^{name}:\t0+$", status, re.MULTILINE), status
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert pair.run("id -u; id -G").output.split() == ["1000", "1000"]


@pytest.mark.parametrize("signal_name", ["KILL", "TERM", "INT", "HUP", "STOP", "USR1"])
def test_its_first_process_cannot_be_killed(pair: Shell, signal_name: str) -> None:
    pair.run(f"kill -{signal_name} 1")

    assert pair.run("echo alive").output == "alive"


def test_no_open_file_leads_out(pair: Shell) -> None:
    files = pair.run("ls -l /proc/self/fd").output

    assert all(
        re.search(r"-> (pipe:|/proc/|/dev/null)", line)
        for line in files.splitlines()
        if "->" in line
    ), files


def test_endpoints_do_not_share_files(pair: Shell) -> None:
    name = secrets.token_hex(8)
    for folder in ("/tmp", "/var/tmp", "/home/antidote", "/dev/shm", "/antidote"):
        assert pair.run(f"touch {folder}/{name}").code == 0
    found = pair.run(f"{FIND} -name {name} -print 2>/dev/null", "linux2")
    assert found.output == ""


def test_endpoints_reach_each_other_by_name(pair: Shell) -> None:
    for here, there in (("linux1", "linux2"), ("linux2", "linux1")):
        result = pair.run(f"exec 3<>/dev/tcp/{there}/22 && head -c 4 <&3", here)
        assert result.output == "SSH-"
        assert pair.run("hostname", here).output == here


def test_transfers_do_not_show_the_server(pair: Shell) -> None:
    async def read(path: str) -> bytes:
        async with (
            pair.connect("linux1") as connection,
            connection.start_sftp_client() as client,
            client.open(path, "rb") as file,
        ):
            return await file.read()

    pair.run("ln -sf /proc /tmp/disguise")
    for path in ("/proc/self/environ", "/proc/self/maps", "/tmp/disguise/1/maps"):
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            asyncio.run(read(path))
    assert asyncio.run(read("/etc/hostname")) == b"linux1\n"
