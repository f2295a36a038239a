"""The launcher's commands, as the Makefile calls them."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from syringe_project.launcher import checks
from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.data_folder import DataFolder
from syringe_project.launcher.python_environment import PythonEnvironment
from syringe_project.launcher.services import front_door_answers
from syringe_project.launcher.settings import child_environment, front_port, given_settings
from syringe_project.launcher.supervisor import StopAsked
from syringe_project.launcher.system_packages import (
    BROWSER_TESTS,
    LOCAL_BACKEND,
    THROUGHPUT_BENCH,
    ensure_packages,
    missing_packages,
)
from syringe_project.launcher.testing import pytest_command, run_beside_servers
from syringe_project.launcher.up import Installation, UpOptions

PROJECT = Path(__file__).resolve().parents[2]
_ANSWER_SECONDS = 60
_DEMO = ("-m", "syringe_project.launcher.demo")
_BENCH = ("-m", "tests.load.bench")


def _stop_asked(_number: int, _frame: FrameType | None) -> None:
    raise StopAsked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="syringe_project/launcher", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "demo"):
        command = commands.add_parser(name)
        command.add_argument("--curriculum", type=Path, default=PROJECT / "curriculum" / "sample")
        command.add_argument("--data", type=Path, default=PROJECT / ".data")
    for name in ("test", "bench", "beside-servers"):
        command = commands.add_parser(name)
        command.add_argument("arguments", nargs=argparse.REMAINDER)
    for name in ("environment", "lint", "typecheck", "lock"):
        commands.add_parser(name)
    return parser


def _up(console: Console, environment: PythonEnvironment, arguments: argparse.Namespace) -> int:
    environment.ensure(console)
    options = UpOptions(
        curriculum=arguments.curriculum.absolute(), data=arguments.data, given=given_settings()
    )
    return Installation(console, environment, options).run()


def _demo(console: Console, environment: PythonEnvironment, arguments: argparse.Namespace) -> int:
    """Run the demo against what runs, or start it for as long as the demo takes."""
    environment.ensure(console)
    command = [str(environment.python), *_DEMO]
    data = DataFolder(arguments.data)
    if data.is_locked():
        with console.step(f"Found the Syringe that runs at {data.address()}"):
            _wait_for_answer(data)
        variables = child_environment(environment, data.settings())
        sys.stdout.flush()
        os.chdir(PROJECT)
        os.execve(command[0], command, variables)
    options = UpOptions(
        curriculum=arguments.curriculum.absolute(),
        data=arguments.data,
        given=given_settings(),
        then=command,
    )
    return Installation(console, environment, options).run()


def _wait_for_answer(data: DataFolder) -> None:
    """Give an installation that is still starting time to answer."""
    give_up_at = time.monotonic() + _ANSWER_SECONDS
    while not front_door_answers(front_port(data.settings())):
        if time.monotonic() > give_up_at:
            raise Refusal(
                f"The Syringe of {data.path} does not answer at {data.address()}: look into "
                f"{data.logs}, or stop it with Ctrl-C in its terminal."
            )
        time.sleep(0.2)


def _test(console: Console, environment: PythonEnvironment, arguments: argparse.Namespace) -> int:
    environment.ensure(console, development=True)
    ensure_packages(console, missing_packages(LOCAL_BACKEND))
    _want_packages(console, BROWSER_TESTS, "The browser tests are skipped")
    command = pytest_command(environment, _words(arguments.arguments))
    return run_beside_servers(console, environment, command, given_settings())


def _bench(console: Console, environment: PythonEnvironment, arguments: argparse.Namespace) -> int:
    _want_packages(console, THROUGHPUT_BENCH, "Requests a second are not measured")
    arguments.arguments = [*_BENCH, *_words(arguments.arguments)]
    return _beside_servers(console, environment, arguments)


def _beside_servers(
    console: Console, environment: PythonEnvironment, arguments: argparse.Namespace
) -> int:
    environment.ensure(console, development=True)
    ensure_packages(console, missing_packages(LOCAL_BACKEND))
    command = [str(environment.python), *_words(arguments.arguments)]
    return run_beside_servers(console, environment, command, given_settings())


def _want_packages(console: Console, programs: Mapping[str, str], without: str) -> None:
    """Install as root what is missing, else say what it costs to go on without it."""
    packages = missing_packages(programs)
    if packages and os.geteuid() == 0:
        ensure_packages(console, packages)
    elif packages:
        names = " ".join(packages)
        console.warn(f"{without}: run `sudo apt-get install {names}` to have them too.")


def _environment(console: Console, environment: PythonEnvironment, _: argparse.Namespace) -> int:
    environment.ensure(console, development=True)
    return 0


def _check(
    run: Callable[[Console, PythonEnvironment], int],
) -> Callable[[Console, PythonEnvironment, argparse.Namespace], int]:
    def command(console: Console, environment: PythonEnvironment, _: argparse.Namespace) -> int:
        environment.ensure(console, development=True)
        return run(console, environment)

    return command


def _words(arguments: Sequence[str]) -> list[str]:
    return [argument for argument in arguments if argument != "--"]


_COMMANDS = {
    "up": _up,
    "demo": _demo,
    "test": _test,
    "bench": _bench,
    "beside-servers": _beside_servers,
    "environment": _environment,
    "lint": _check(checks.lint),
    "typecheck": _check(checks.type_check),
    "lock": _check(checks.lock),
}


def main(words: Sequence[str]) -> int:
    """Run one command; a refusal becomes one sentence and exit status 1."""
    console = Console()
    arguments = _parser().parse_args(words)
    environment = PythonEnvironment(PROJECT)
    # Until a supervisor takes over, being asked to stop interrupts whatever goes on.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop_asked)
    try:
        return _COMMANDS[arguments.command](console, environment, arguments)
    except Refusal as refusal:
        console.refuse(str(refusal))
        return 1
    except StopAsked:
        console.say("Stopped.")
        return 130
