"""Lesson folders as this machine keeps them: one file per content, the least used ones leave."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

KEPT = 50


class DamagedBundle(ValueError):
    """The bundle's content is not what its SHA-256 promises."""


def bundle_open(folder: Path, sha256: str, read: Callable[[], bytes]) -> int:
    """Return an open file with the verified bundle; call ``read`` when it is not kept yet.

    The file stays readable through what is returned even if it is pruned meanwhile.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{sha256}.tar.gz"
    kept = _open_verified(path, sha256)
    if kept is not None:
        return kept
    content = read()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedBundle(f"the lesson's bundle is not the one with SHA-256 {sha256}")
    temporary = folder / f".{uuid4().hex}"
    temporary.write_bytes(content)
    temporary.rename(path)
    bundles_prune(folder)
    written = _open_verified(path, sha256)
    if written is None:
        raise DamagedBundle(f"the bundle with SHA-256 {sha256} cannot be kept in {folder}")
    return written


def _open_verified(path: Path, sha256: str) -> int | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            path.unlink(missing_ok=True)
            return None
        os.utime(file.fileno())
        file.seek(0)
        return os.dup(file.fileno())


def bundles_prune(folder: Path, keep: int = KEPT) -> None:
    """Remove all but the ``keep`` bundles that were used last."""
    found = []
    for path in folder.glob("*.tar.gz"):
        try:
            found.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    for _, path in sorted(found, reverse=True)[keep:]:
        path.unlink(missing_ok=True)
