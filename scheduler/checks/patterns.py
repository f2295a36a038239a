"""Searching for authors' patterns, whatever they are: a bad one could take for ever."""

import asyncio

import regex

SECONDS = 2.0


class PatternError(Exception):
    """The pattern is none, or it takes too long to find."""


async def found(pattern: str, text: str) -> bool:
    """Say whether the text has the pattern in it, with ``^`` and ``$`` at every line."""
    return await asyncio.to_thread(_search, pattern, text)


def _search(pattern: str, text: str) -> bool:
    try:
        # Without the interpreter's lock, so that the loop goes on.
        match = regex.search(pattern, text, regex.MULTILINE, timeout=SECONDS, concurrent=True)
    except regex.error as exc:
        raise PatternError(f"The pattern is not valid: {exc}") from None
    except (TimeoutError, RecursionError, MemoryError):
        raise PatternError("The pattern takes too long to search for.") from None
    return match is not None
