"""Commands on a real OpenSSH server, which says nothing to them when their client goes."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncssh
import pytest

from scheduler.checks.commands import (
    KEPT_BYTES,
    CommandLost,
    Finished,
    PrintedTooMuch,
    TookTooLong,
    run_command,
)
from scheduler.checks.scripts import check_script
from tests.integration.checks.test_faults import running
from tests.stack import free_port
from tests.waiting import FOR_EVER, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")

MARK = uuid4().hex

pytestmark = pytest.mark.skipif(SSHD is None, reason="no OpenSSH server here")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[tuple[int, asyncssh.SSHKey]]:
    """Return the port of a server for this user, and the key that opens it."""
    if os.geteuid() == 0:
        # Where it puts what it does not trust.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    host_key = tmp_path / "host_key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(host_key)
    host_key.chmod(0o600)
    (tmp_path / "keys").write_bytes(key.export_public_key())
    port = free_port()
    options = {
        "ListenAddress": "127.0.0.1", "HostKey": host_key, "PidFile": "none", "UsePAM": "no",
        "AuthorizedKeysFile": tmp_path / "keys", "StrictModes": "no", "PermitRootLogin": "yes",
    }  # fmt: skip
    words = [f"-o{name}={value}" for name, value in options.items()]
    command = [str(SSHD), "-D", "-e", "-f", "/dev/null", "-p", str(port), *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: process.poll() is not None or _answers(port), what="sshd")
            if process.poll() is not None:
                pytest.skip("OpenSSH's server does not start for this user")
            yield port, key
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    async def look() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    return asyncio.run(look())


@pytest.fixture
async def connection(
    sshd: tuple[int, asyncssh.SSHKey],
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    port, key = sshd
    async with asyncssh.connect(
        "127.0.0.1", port, username=getpass.getuser(), client_keys=[key], agent_path=None,
        known_hosts=None, config=None,
    ) as connection:  # fmt: skip
        yield connection


def told(script: str, **variables: str) -> str:
    return check_script(
        script, variables=variables, timeout_seconds=FOR_EVER, token=uuid4().hex, mark=MARK
    )


async def ended(mark: str) -> None:
    """Wait until no process has the mark as a word."""
    await asyncio.to_thread(wait_until, lambda: not running(mark), what="the end of everything")


async def test_it_tells_how_a_command_ended(connection):
    script = told('echo "$OBJECTIVE_A"; echo two >&2; exit 5', OBJECTIVE_A="it's")

    assert await run_command(connection, script, mark=MARK, timeout_seconds=10) == Finished(
        5, "it's\ntwo\n"
    )


async def test_the_end_of_a_long_output_is_kept(connection):
    script = told("head -c 300000 /dev/zero | tr '\\0' x; echo; echo the end")

    finished = await run_command(connection, script, mark=MARK, timeout_seconds=10)

    assert finished.status == 0
    assert finished.output.endswith("x\nthe end\n")
    assert len(finished.output) == KEPT_BYTES


async def test_too_much_output_ends_the_command(connection):
    with pytest.raises(PrintedTooMuch):
        await run_command(connection, told("yes 3605.75"), mark=MARK, timeout_seconds=30)

    await ended("3605.75")


@pytest.mark.parametrize("script", ["sleep 3606.75", "setsid sleep 3606.75 & sleep 3606.75"])
async def test_a_command_that_takes_too_long_is_ended(connection, script):
    with pytest.raises(TookTooLong):
        await run_command(connection, told(script), mark=MARK, timeout_seconds=0.5)

    await ended("3606.75")


async def test_what_a_command_leaves_behind_is_not_waited_for(connection):
    script = told("setsid sleep 3607.75 & sleep 3607.75 & echo done")
    finished = await run_command(connection, script, mark=MARK, timeout_seconds=FOR_EVER)

    assert finished == Finished(0, "done\n")
    await ended("3607.75")


async def test_a_command_ends_with_its_connection(connection):
    checking = asyncio.create_task(
        run_command(connection, told("sleep 3608.75"), mark=MARK, timeout_seconds=FOR_EVER)
    )
    await asyncio.to_thread(wait_until, lambda: running("3608.75"), what="the command")

    connection.abort()

    with pytest.raises(CommandLost):
        await checking
    await ended("3608.75")


async def test_a_connection_serves_several_commands_at_once(connection):
    scripts = [told(f"sleep 0.3; echo {number}") for number in range(3)]

    finished = await asyncio.gather(
        *(run_command(connection, script, mark=MARK, timeout_seconds=10) for script in scripts)
    )

    assert [one.output for one in finished] == ["0\n", "1\n", "2\n"]
