"""The files of a generated ``/etc``: who lives in a sandbox and whom it can reach by name."""

from collections.abc import Mapping

from scheduler.backends.local.sandbox import USER_ID

_NOBODY = 65_534


def etc_files(
    *, hostname: str, user: str, home: str, hosts: Mapping[str, str], search_path: str
) -> dict[str, str]:
    """Return the files by name."""
    people = [(user, USER_ID, home, "/bin/bash")]
    if user != "root":
        people.insert(0, ("root", 0, "/", "/usr/sbin/nologin"))
    people.append(("nobody", _NOBODY, "/", "/usr/sbin/nologin"))
    return {
        "passwd": "".join(
            f"{name}:x:{number}:{number}::{folder}:{shell}\n"
            for name, number, folder, shell in people
        ),
        "group": "".join(f"{name}:x:{number}:\n" for name, number, _, _ in people),
        "hosts": "127.0.0.1 localhost\n"
        + "".join(f"{address} {name}\n" for name, address in hosts.items()),
        "hostname": f"{hostname}\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "resolv.conf": "",
        "profile": f"export PATH={search_path}\n"
        "[ -n \"$BASH_VERSION\" ] && [ -r ~/.bashrc ] && PS1='\\u@\\h:\\w\\$ ' && . ~/.bashrc\n",
        "bash.bashrc": "PS1='\\u@\\h:\\w\\$ '\n",
        "os-release": 'NAME="Syringe endpoint"\nID=syringe\n',
    }
