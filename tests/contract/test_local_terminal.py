"""The SSH server of an endpoint, as the gateway and learners' own clients use it."""

import asyncio
import hashlib
import socket
from collections.abc import Iterator

import asyncssh
import pytest

from scheduler.backends.local import LocalBackend
from tests.contract.descriptions import SHELL, Shell, end, endpoint, environment, start, wait_until
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.local_backend, pytest.mark.xdist_group("local-pair")]

SIZE = 20 * 1024 * 1024
NUMBERS = f"head -c {SIZE} < <(yes 0123456789abcdef0123456789abcdef)"


def expected() -> str:
    line = b"0123456789abcdef0123456789abcdef\n"
    return hashlib.sha256((line * (SIZE // len(line) + 1))[:SIZE]).hexdigest()


async def read_until(process: "asyncssh.SSHClientProcess[str]", text: str) -> str:
    seen = ""
    async with asyncio.timeout(PATIENCE):
        while text not in seen:
            seen += await process.stdout.read(4096)
    return seen


async def test_a_terminal_has_a_size_that_follows_the_client(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        process = await connection.create_process(term_type="xterm-256color", term_size=(80, 24))
        process.stdin.write("stty size; echo $TERM; tty\n")
        assert "24 80" in await read_until(process, "/dev/pts/")
        process.change_terminal_size(132, 43)
        process.stdin.write("stty size; echo ag''ain\n")
        assert "43 132" in await read_until(process, "again\r\n")
        process.stdin.write("exit 7\n")
        assert (await process.wait()).exit_status == 7


async def test_control_c_interrupts_and_job_control_works(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        process = await connection.create_process(term_type="xterm")
        process.stdin.write("echo begin; sleep 60 || echo interrup''ted\n")
        await read_until(process, "begin\r\n")
        await asyncio.sleep(0.1)
        process.stdin.write("\x03")
        process.stdin.write("echo cod''e $?\n")
        assert "code 130" in await read_until(process, "code 130")
        process.stdin.write("sleep 60 & jobs; kill %1; echo do''ne\n")
        assert "Running" in await read_until(process, "done\r\n")
        process.stdin.write("exit\n")
        assert (await process.wait()).exit_status == 0


async def test_utf_8_survives(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        process = await connection.create_process(term_type="xterm")
        process.stdin.write("printf '\\u2713 \\u00e9 \\U0001F600 %s\\n' 'żółć'\n")
        assert "żółć" in await read_until(process, "✓ é 😀 żółć")


async def test_20_megabytes_through_a_terminal(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        process = await connection.create_process(
            f"stty raw -echo; {NUMBERS}", term_type="xterm", encoding=None
        )
        data = await process.stdout.read()
        assert hashlib.sha256(data).hexdigest() == expected()
        assert (await process.wait()).exit_status == 0


async def test_20_megabytes_through_a_command_and_back(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        answer = await connection.run(NUMBERS, encoding=None)
        assert isinstance(answer.stdout, bytes)
        assert hashlib.sha256(answer.stdout).hexdigest() == expected()
        back = await connection.run("sha256sum", input=answer.stdout, encoding=None)
        assert isinstance(back.stdout, bytes)
        assert back.stdout.split()[0].decode() == expected()


async def test_20_megabytes_by_file_transfer(pair: Shell) -> None:
    content = bytes(range(256)) * (SIZE // 256)
    async with pair.connect("linux1") as connection, connection.start_sftp_client() as client:
        async with client.open("/tmp/moved", "wb") as file:
            await file.write(content)
        async with client.open("/tmp/moved", "rb") as file:
            moved: object = await file.read()
        await client.remove("/tmp/moved")
    assert moved == content


async def test_a_slow_client_loses_nothing(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        process = await connection.create_process("seq 400000")
        await asyncio.sleep(0.5)
        numbers = (await process.stdout.read()).split()
        assert (len(numbers), int(numbers[-1])) == (400000, 400000)


async def test_output_and_errors_and_exit_codes_are_apart(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        result = await connection.run("echo out; echo err >&2; exit 3")
        assert (result.stdout, result.stderr, result.exit_status) == ("out\n", "err\n", 3)
        killed = await connection.run("kill -TERM $$")
        assert killed.exit_signal is not None
        assert killed.exit_signal[0] == "TERM"


async def test_background_programs_do_not_hold_the_session(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        result = await connection.run("sleep 3661 & echo started")
        assert result.stdout == "started\n"
        await connection.run("pkill -f 'sleep 3661'")


async def test_what_ran_in_a_terminal_ends_with_the_connection(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        process = await connection.create_process(term_type="xterm")
        process.stdin.write("sleep 3662.5; true\n")
        await read_until(process, "62.5")
        running = await connection.run(
            "for i in $(seq 800); do pgrep -f 'sleep 3662[.]5' && exit 0; sleep 0.1; done; exit 1"
        )
        assert running.exit_status == 0

    async with pair.connect("linux1") as connection:
        gone = await connection.run(
            "for i in $(seq 800); do pgrep -f 'sleep 3662[.]5' || exit 0; sleep 0.1; done; exit 1"
        )
        assert gone.exit_status == 0


async def test_orphans_are_reaped(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        await connection.run("for i in 1 2 3 4 5; do (sleep 0.1 &) ; done; sleep 0.5")
        reaped = await connection.run(
            "for i in $(seq 800); do grep -l '^State:.Z' /proc/[0-9]*/status || exit 0; sleep 0.1; "
            "done; exit 1"
        )
        assert reaped.exit_status == 0, reaped.stdout


async def test_only_the_environments_password_counts_from_outside(pair: Shell) -> None:
    for username, password in (("antidote", "antidotepassword"), ("antidote", "x"), ("root", "")):
        with pytest.raises(asyncssh.PermissionDenied):
            await pair.connect("linux1", username, password or "none")


async def test_the_images_own_credentials_count_inside_the_lesson(pair: Shell) -> None:
    program = (
        "import asyncio, asyncssh\n"
        "async def main():\n"
        "    async with asyncssh.connect('linux2', username='antidote', known_hosts=None,\n"
        "            password='antidotepassword', client_keys=None) as connection:\n"
        "        print((await connection.run('hostname')).stdout)\n"
        "asyncio.run(main())\n"
    )
    interpreter = "$(ls /opt/syringe/python/bin/python3 /usr/bin/python3 2>/dev/null | head -1)"
    async with pair.connect("linux1") as connection:
        result = await connection.run(
            f"PYTHONPATH=/opt/syringe/packages {interpreter} -", input=program
        )
    assert (result.stdout or "").strip() == "linux2", result.stderr


async def test_forwarding_into_other_networks_is_refused(pair: Shell) -> None:
    async with pair.connect("linux1") as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("100.64.0.11", 22)


@pytest.fixture(scope="module")
def web() -> Iterator[Shell]:
    """Return a running web server."""
    from scheduler.backends.base import ImageSpec, PresentationSpec

    backend = LocalBackend()
    page = PresentationSpec(name="page", port=8080, type="http")
    spec = environment(
        endpoint(image=ImageSpec(slug="webserver"), presentations=(SHELL, page)),
        files={"www/index.html": "from the lesson"},
    )
    observation = start(backend, spec)
    try:
        assert observation.phase == "running", observation
        yield Shell(backend, spec)
    finally:
        assert end(backend, spec.ref)


def get(address: tuple[str, int]) -> str:
    try:
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while part := connection.recv(4096):
                data += part
    except OSError:
        return ""
    return data.decode().rpartition("\r\n\r\n")[2]


def test_a_web_server_serves_the_lesson_and_then_the_learner(web: Shell) -> None:
    address = web.address("linux1", 8080)
    assert wait_until(lambda: get(address) == "from the lesson")

    web.run("mkdir -p ~/www && echo from me > ~/www/index.html")

    assert wait_until(lambda: get(address) == "from me\n")
    web.run("pkill -f webserver")
    assert wait_until(lambda: get(address) == "from me\n")
