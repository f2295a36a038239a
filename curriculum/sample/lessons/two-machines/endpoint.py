"""What this lesson's configuration scripts share: writing files on the endpoint."""

import asyncio
import os
import shlex
from pathlib import Path

import asyncssh

LESSON = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 30


async def _write(files: dict[str, str]) -> None:
    connecting = asyncssh.connect(
        os.environ["ANTIDOTE_TARGET_HOST"],
        username=os.environ["ANTIDOTE_TARGET_USERNAME"],
        password=os.environ["ANTIDOTE_TARGET_PASSWORD"],
        # The endpoint was made a second ago, with a key that nobody could know before.
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        config=None,
    )
    async with asyncio.timeout(TIMEOUT_SECONDS), connecting as connection:
        for name, content in files.items():
            await connection.run(f"cat > {shlex.quote(name)}", input=content, check=True)


def write_files(files: dict[str, str]) -> None:
    """Give the endpoint these files in its home folder, whatever was there before."""
    asyncio.run(_write(files))
