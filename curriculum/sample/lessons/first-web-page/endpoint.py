"""Put a stage's first page on the endpoint, unless the learner has one already."""

import asyncio
import os

import asyncssh

TIMEOUT_SECONDS = 30


async def _ensure_page(page: str) -> None:
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
    command = "mkdir -p www && cd www && if test -s index.html; then :; else cat > index.html; fi"
    async with asyncio.timeout(TIMEOUT_SECONDS), connecting as connection:
        await connection.run(command, input=page, check=True)


def ensure_page(page: str) -> None:
    """Write ``~/www/index.html`` where there is none."""
    asyncio.run(_ensure_page(page))
