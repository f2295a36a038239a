"""What this lesson's scripts share: writing and reading files on the endpoint."""

import asyncio
import os
import shlex
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncssh

LESSON = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 30


def _connect() -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
    return asyncssh.connect(
        os.environ["ANTIDOTE_TARGET_HOST"],
        username=os.environ["ANTIDOTE_TARGET_USERNAME"],
        password=os.environ["ANTIDOTE_TARGET_PASSWORD"],
        # The endpoint was made a second ago, with a key that nobody could know before.
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        config=None,
    )


async def _write(files: dict[str, str]) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS), _connect() as connection:
        for name, content in files.items():
            await connection.run(f"cat > {shlex.quote(name)}", input=content, check=True)


async def _read(name: str) -> str | None:
    async with asyncio.timeout(TIMEOUT_SECONDS), _connect() as connection:
        done = await connection.run(f"cat {shlex.quote(name)}")
        return str(done.stdout) if done.exit_status == 0 else None


def read_file(name: str) -> str | None:
    """Return what is in a file of the endpoint's home folder; None where there is none."""
    return asyncio.run(_read(name))


def write_files(files: dict[str, str]) -> None:
    """Give the endpoint these files in its home folder, whatever was there before."""
    asyncio.run(_write(files))
