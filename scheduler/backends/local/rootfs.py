"""The supervisor's own root folder: what sandboxes bind from, and nothing else of the machine."""

import os
from pathlib import Path

from scheduler.backends.local import namespaces, sandbox
from scheduler.backends.local.plan import HostPlan

RUN = "/syringe/run"
DISKS = "/syringe/disks"
OWN = "/syringe/own"

_OWN_OPTIONS = "size=64m,nr_inodes=8192,mode=0755"


def build(folder: Path, state_folder: Path, host: HostPlan) -> None:
    """Make a new root folder and move into it.

    Started by root, this happens before the rights are given up, so that what only root can
    reach (an interpreter in root's home, say) is in place afterwards.
    """
    os.umask(0o022)
    namespaces.mount("none", "/", flags=namespaces.MS_REC | namespaces.MS_PRIVATE)
    namespaces.mount("tmpfs", str(folder), "tmpfs", namespaces.MS_NOSUID, _OWN_OPTIONS)
    for kind, source, path in host["system"]:
        if kind == "symlink":
            (folder / path.lstrip("/")).symlink_to(source)
        else:
            _bind(source, folder, path)
    for path in ("/etc", "/dev", "/proc"):
        _bind(path, folder, path)
    if host["python_prefix"]:
        _bind(host["python_prefix"], folder, sandbox.PYTHON)
    _bind(host["site_packages"], folder, sandbox.SITE_PACKAGES)
    _bind(host["inside"], folder, sandbox.INSIDE)
    for source in host["packages"]:
        _bind(source, folder, f"{sandbox.PACKAGES}/{Path(source).name}")
    _bind(str(state_folder), folder, RUN)
    for path in (DISKS, OWN, "/tmp"):  # noqa: S108 (a folder of the new root)
        (folder / path.lstrip("/")).mkdir(parents=True)
        (folder / path.lstrip("/")).chmod(0o1777)
    namespaces.become_root_folder(str(folder))


def _bind(source: str, folder: Path, path: str) -> None:
    target = folder / path.lstrip("/")
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    namespaces.bind(source, str(target))


def make_disk(name: str, size: int, inodes: int, folders: tuple[str, ...]) -> Path:
    """Mount a file system of limited size and return its folder."""
    path = Path(DISKS, name)
    path.mkdir()
    options = f"size={size},nr_inodes={inodes},mode=0755"
    namespaces.mount(
        "tmpfs", str(path), "tmpfs", namespaces.MS_NOSUID | namespaces.MS_NODEV, options
    )
    for folder in folders:
        (path / folder).mkdir()
    for folder in {"tmp", "vartmp", "shm"}.intersection(folders):
        (path / folder).chmod(0o1777)
    return path


def make_etc(name: str, host: HostPlan, files: dict[str, str]) -> Path:
    """Generate an ``/etc`` that knows one user, and mount what programs need of the machine's."""
    path = Path(OWN, "etc", name)
    path.mkdir(parents=True)
    for file, text in files.items():
        (path / file).write_text(text)
        (path / file).chmod(0o644)
    # The machine's own files are bound here, once, and appear with the folder.
    for entry in host["configuration"]:
        _bind(str(Path("/etc", entry)), path, entry)
    return path
