"""What the launcher says: one line a step, with its time."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Refusal(Exception):
    """The launcher cannot go on; the message is one sentence that says why and what to do."""


class Step:
    """A line that is being worked on; ``text`` may be changed until it is printed."""

    def __init__(self, text: str) -> None:
        self.text = text


class Console:
    """Prints steps, coloured only on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._coloured = self._terminal and not os.environ.get("NO_COLOR")

    def _write(self, text: str) -> None:
        # The terminal may have gone away; stopping what was started matters more.
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            return

    def _colour(self, code: int, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._coloured else text

    @contextmanager
    def step(self, text: str, *, announce: str = "") -> Iterator[Step]:
        """Print ``text`` with the time that the block took; ``announce`` first if it is long."""
        started = time.monotonic()
        step = Step(text)
        self.doing(announce or text)
        if announce and not self._terminal:
            self._write(f"          {announce} ...\n")
        yield step
        self.did(step.text, time.monotonic() - started)

    def doing(self, text: str) -> None:
        """Show on a terminal what goes on, until the next line takes its place."""
        if self._terminal:
            self._write(f"\033[2K          {text} ...\r")

    def did(self, text: str, seconds: float) -> None:
        """Print a finished step."""
        clear = "\033[2K" if self._terminal else ""
        self._write(f"{clear}{self._colour(2, f'{seconds:7.2f} s')} {text}\n")

    def say(self, text: str = "") -> None:
        """Print a line as it is."""
        clear = "\033[2K" if self._terminal else ""
        self._write(f"{clear}{text}\n")

    def highlight(self, text: str) -> None:
        """Print a line that should not be overlooked."""
        self.say(self._colour(1, text))

    def warn(self, text: str) -> None:
        """Print what went wrong but does not stop us."""
        self.say(self._colour(33, text))

    def refuse(self, text: str) -> None:
        """Print why the launcher gives up."""
        self.say(self._colour(31, text))
