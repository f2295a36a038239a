"""Unpack a lesson's folder where it can harm nothing: in the sandbox's own file system.

The checks are made here and not by ``tarfile``'s filters, which Python 3.11.2 lacks; ``gzip`` is
imported here because ``tarfile`` would do so when the interpreter's folder has moved.
"""

import gzip
import os
import posixpath
import shutil
import tarfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath


class UnsafeBundle(Exception):
    """A bundle holds something other than files and folders below its own root."""


def extract(bundle_fd: int, target: Path, *, without: Collection[str] = ()) -> None:
    """Unpack the tar.gz that ``bundle_fd`` holds; the position of the file is moved.

    ``without`` names files that are left out.
    """
    os.lseek(bundle_fd, 0, os.SEEK_SET)
    with (
        os.fdopen(os.dup(bundle_fd), "rb") as file,
        gzip.open(file) as unzipped,
        tarfile.open(fileobj=unzipped, mode="r:") as archive,
    ):
        for member in archive:
            if posixpath.normpath(member.name) in without:
                continue
            _extract_member(archive, member, target)


def _extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    name = posixpath.normpath(member.name)
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts:
        raise UnsafeBundle(f"{member.name!r} leads out of the lesson's folder")
    path = target / name
    for parent in reversed(path.relative_to(target).parents):
        if (target / parent).is_symlink():
            raise UnsafeBundle(f"{member.name!r} lies below a symbolic link")
    if member.isdir():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif member.isfile():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        content = archive.extractfile(member)
        if content is None or path.is_symlink():
            raise UnsafeBundle(f"{member.name!r} cannot be unpacked")
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)
        path.chmod(0o755 if member.mode & 0o100 else 0o644)
    elif member.issym():
        destination = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        if member.linkname.startswith("/") or destination.split("/")[0] == "..":
            raise UnsafeBundle(f"{member.name!r} leads out of the lesson's folder")
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.symlink_to(member.linkname)
    else:
        raise UnsafeBundle(f"{member.name!r} is neither a file nor a folder")
