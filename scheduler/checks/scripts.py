"""What an endpoint's shell is told, so that a check ends with everything it started."""

import re
import shlex
from collections.abc import Mapping

COMMAND = "sh -s"
"""What is run at the endpoint; it reads ``check_script`` from its input."""

GRACE_SECONDS = 2
"""How much later than the checker the endpoint itself ends a check that takes too long."""

# The script runs in a process group of its own, with nothing to read. Its guard ends that group
# when time is up and also when our end of the connection is gone, which is what the end of the
# input means: so nothing has to be sent, and nothing survives a checker that was killed. What left
# the group is found by its environment. All of it is one function, read to its end before it
# runs, because the input is the guard's from then on. Besides a shell only `setsid` is missed
# where it does not exist (processes that a script leaves behind then stay) and `grep`.
#
# The script is handed on through a pipe and stands in no command line, which learners could list.
# The mark before and after its output says that it ran: startup files of the login shell may print
# and exit as they like. It is no variable of the environment, so the script does not know it.
_RUN = r"""
check() {
    exec 3<&0 </dev/null 2>&1
    alone=setsid group=-
    command -v setsid >/dev/null || alone= group=
    echo "$mark"
    SYRINGE_CHECK=$token $alone sh -c '
        script=$(cat <&4)
        exec 4<&-
        sh -n <<END || exit 126
$script
END
        eval "$script"
    ' sh 3<&- 4<<END & job=$!
$script
END
    $alone sh -c '(sleep "$1"; kill -9 "$2") <&- & cat; kill -9 "$2"' \
        sh "$limit" "$group$job" <&3 3<&- >/dev/null 2>&1 & guard=$!
    wait "$job" 2>/dev/null
    status=$?
    {
        kill -9 "$guard"
        kill -9 "$group$guard"
        kill -9 "$group$job"
        for left in $(grep -lsF "SYRINGE_CHECK=$token" /proc/[0-9]*/environ); do
            left=${left#/proc/}
            kill -9 "${left%/environ}"
        done
    } 2>/dev/null
    echo "$mark $status"
    exit "$status"
}
check
"""


def check_script(
    script: str, *, variables: Mapping[str, str], timeout_seconds: int, token: str, mark: str
) -> str:
    """Return the input of ``COMMAND`` that runs an author's script within its time.

    Its output is what ``what_was_printed`` reads. It exits as the script does, and with 126 where
    the script is no shell script.
    """
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    return (
        f"{exports}unset token mark limit script\n"
        f"token={shlex.quote(token)} mark={shlex.quote(mark)}\n"
        f"limit={timeout_seconds + GRACE_SECONDS}\n"
        f"script={shlex.quote(script)}\n{_RUN}"
    )


def what_was_printed(output: str, *, mark: str) -> tuple[str, int | None]:
    """Return what a script printed, errors included, and its status: None where it did not end.

    ``output`` may lack its beginning.
    """
    printed = output.rpartition(f"{mark}\n")[2]
    ended = re.search(rf"{re.escape(mark)} (\d+)\n", printed)
    if ended is None:
        return printed, None
    return printed[: ended.start()], int(ended[1])
