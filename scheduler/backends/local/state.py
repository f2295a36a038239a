"""What a supervisor tells the world, in one file that is replaced as a whole."""

import json
import os
from typing import TypedDict, cast


class EndpointState(TypedDict):
    """``ports`` is keyed by the endpoint's port as text, as JSON wants it."""

    phase: str
    reason: str
    message: str
    ports: dict[str, int]
    log_tail: str


class JobState(TypedDict):
    phase: str
    message: str
    log_tail: str
    broken: bool


class State(TypedDict):
    """``jobs`` is keyed by ``name/run``; ``control_groups`` says which limits root added."""

    phase: str
    reason: str
    message: str
    endpoints: dict[str, EndpointState]
    jobs: dict[str, JobState]
    control_groups: list[str]


FILE_NAME = "state.json"


def job_key(name: str, run: int) -> str:
    """Return the key of a job in ``State.jobs``."""
    return f"{name}/{run}"


def parse_job_key(key: str) -> tuple[str, int]:
    """Return the name and the run of a job."""
    name, _, run = key.rpartition("/")
    return name, int(run)


def parse_state(text: bytes) -> State:
    """Read a state; one that is damaged, say by a power loss, is that of a failed environment."""
    try:
        return cast("State", json.loads(text))
    except ValueError:
        return State(
            phase="failed",
            reason="crashed",
            message="the state of the lesson's sandboxes was lost",
            endpoints={},
            jobs={},
            control_groups=[],
        )


class StateFile:
    """Write the state through an open folder, which still works after the root has changed."""

    def __init__(self, folder_fd: int, state: State) -> None:
        self._folder_fd = folder_fd
        self.state = state

    def write(self) -> None:
        """Replace the file; readers see the old or the new one, never a part."""
        fd = os.open(
            f"{FILE_NAME}.new",
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
            0o600,
            dir_fd=self._folder_fd,
        )
        with os.fdopen(fd, "w") as file:
            json.dump(self.state, file)
        os.replace(
            f"{FILE_NAME}.new",
            FILE_NAME,
            src_dir_fd=self._folder_fd,
            dst_dir_fd=self._folder_fd,
        )

    def reload(self) -> None:
        """Take over what another process wrote last."""
        fd = os.open(FILE_NAME, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder_fd)
        with os.fdopen(fd) as file:
            self.state = cast("State", json.load(file))

    def fail(self, reason: str, message: str) -> None:
        """Record that this environment has ended for a reason."""
        self.state["phase"] = "failed"
        self.state["reason"] = reason
        self.state["message"] = message
        self.write()
