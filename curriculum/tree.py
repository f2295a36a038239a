"""Reading a folder that somebody else wrote: nothing outside it, nothing endless, no devices."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from curriculum.problems import Report, printable

IGNORED_NAMES = frozenset({".git", "__pycache__", ".DS_Store"})
"""Left out of every lesson: they are never meant, and would change a lesson's digest."""

MEBIBYTE = 1024 * 1024
_CHUNK = MEBIBYTE
_MAX_NAME_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before it is read."""

    meta_bytes: int = 256 * 1024
    guide_bytes: int = 4 * MEBIBYTE
    bundle_bytes: int = 64 * MEBIBYTE
    files_per_lesson: int = 10_000
    folders: int = 50_000
    depth: int = 20

    @property
    def unpacked_bytes(self) -> int:
        """How much a lesson may occupy where it is unpacked, however well it compresses."""
        return 4 * self.bundle_bytes


class Unreadable(Exception):
    """A file that is not read, with the reason as its message."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A plain file of a lesson; ``path`` has no symbolic link left in its last part."""

    name: str
    path: Path
    size: int
    executable: bool


def human_bytes(size: int) -> str:
    """Return a size as people read it."""
    for unit, factor in (("GB", 1024**3), ("MB", 1024**2), ("KB", 1024)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"


def reason(error: OSError) -> str:
    """Say what went wrong without the path, which the problem names already."""
    if error.errno == errno.ELOOP:
        return "is a symbolic link, which is not followed here"
    return f"cannot be read: {os.strerror(error.errno) if error.errno else 'unknown error'}"


def open_plain(path: Path, *, limit: int) -> BinaryIO:
    """Open a regular file of at most ``limit`` bytes; raise Unreadable for all else.

    Never blocks: a pipe without a writer is opened without waiting and then refused.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as exc:
        if exc.errno == errno.ENXIO:
            raise Unreadable("is not a plain file") from exc
        raise Unreadable(reason(exc)) from exc
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Unreadable("is not a plain file")
    if found.st_size > limit:
        os.close(descriptor)
        raise Unreadable(
            f"has {human_bytes(found.st_size)}; at most {human_bytes(limit)} are allowed"
        )
    return os.fdopen(descriptor, "rb")


def read_text(path: Path, *, limit: int) -> str:
    """Return a UTF-8 file's text, without a byte order mark; raise Unreadable for all else."""
    with open_plain(path, limit=limit) as file:
        try:
            content = file.read(limit + 1)
        except OSError as exc:
            raise Unreadable(reason(exc)) from exc
    if len(content) > limit:
        raise Unreadable(f"has more than {human_bytes(limit)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise Unreadable(f"is not UTF-8 (byte {exc.start}, line {line})") from exc
    if "\0" in text:
        raise Unreadable("holds a NUL byte, so it is not text")
    return text


def file_digest(file: TreeFile, *, limit: int) -> bytes:
    """Return the SHA-256 of a file's content; raise Unreadable."""
    digest = hashlib.sha256()
    remaining = limit
    with open_plain(file.path, limit=limit) as source:
        try:
            while chunk := source.read(_CHUNK):
                remaining -= len(chunk)
                if remaining < 0:
                    raise Unreadable(f"has more than {human_bytes(limit)}")
                digest.update(chunk)
        except OSError as exc:
            raise Unreadable(reason(exc)) from exc
    return digest.digest()


def tree_digest(entries: Sequence[tuple[TreeFile, bytes]]) -> str:
    """Return one SHA-256 for names, executable bits and contents; times and owners do not count."""
    digest = hashlib.sha256()
    for file, content in entries:
        name = file.name.encode()
        digest.update(b"%d %d " % (len(name), file.executable) + name + content)
    return digest.hexdigest()


def name_fault(name: str) -> str:
    """Return why a file's name cannot be kept, or nothing."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if printable(name) != name:
        return "has control characters in its name"
    if len(name) > _MAX_NAME_CHARACTERS:
        return f"has a path of more than {_MAX_NAME_CHARACTERS} characters"
    return ""


def list_folder(folder: Path) -> list[os.DirEntry[str]]:
    """Return a folder's entries by name; raise Unreadable."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as exc:
        raise Unreadable(reason(exc)) from exc


@dataclass(slots=True)
class _Walk:
    """One walk over a lesson's folder; links inside the folder are read as what they lead to."""

    root: Path
    prefix: str
    limits: Limits
    report: Report
    seen: int = 0

    def _refuse(self, name: str, why: str) -> None:
        self.report.error(why, file=f"{self.prefix}/{name}" if name else self.prefix)

    def files(self) -> Iterator[TreeFile]:
        pending: list[tuple[Path, str, tuple[Path, ...]]] = [(self.root, "", (self.root,))]
        while pending:
            folder, name, above = pending.pop()
            try:
                entries = list_folder(folder)
            except Unreadable as exc:
                self._refuse(name, str(exc))
                continue
            for entry in entries:
                if entry.name in IGNORED_NAMES:
                    continue
                self.seen += 1
                if self.seen > self.limits.files_per_lesson:
                    limit = self.limits.files_per_lesson
                    self._refuse("", f"holds more than {limit} files and folders")
                    return
                below = f"{name}/{entry.name}" if name else entry.name
                if fault := name_fault(below):
                    self._refuse(below, fault)
                    continue
                found = self._entry(entry, below, above)
                if isinstance(found, TreeFile):
                    yield found
                elif found is not None:
                    pending.append((found, below, (*above, found)))

    def _entry(
        self, entry: os.DirEntry[str], name: str, above: tuple[Path, ...]
    ) -> TreeFile | Path | None:
        path = Path(entry.path)
        try:
            if entry.is_symlink():
                resolved = self._resolve(path, name)
                if resolved is None:
                    return None
                path = resolved
            found = path.lstat()
        except OSError as exc:
            self._refuse(name, reason(exc))
            return None
        if stat.S_ISDIR(found.st_mode):
            if path in above:
                self._refuse(name, "is a symbolic link to a folder that it lies in")
                return None
            if len(above) >= self.limits.depth:
                self._refuse(name, f"is nested more than {self.limits.depth} folders deep")
                return None
            return path
        if not stat.S_ISREG(found.st_mode):
            self._refuse(name, "is not a plain file")
            return None
        return TreeFile(name, path, found.st_size, bool(found.st_mode & 0o111))

    def _resolve(self, path: Path, name: str) -> Path | None:
        try:
            target = Path(os.path.realpath(path, strict=True))
        except OSError as exc:
            loop = exc.errno == errno.ELOOP
            self._refuse(
                name, f"is a symbolic link that leads {'round in a loop' if loop else 'nowhere'}"
            )
            return None
        if not target.is_relative_to(self.root):
            self._refuse(name, "is a symbolic link out of the lesson's folder")
            return None
        return target


def list_files(folder: Path, *, prefix: str, limits: Limits, report: Report) -> list[TreeFile]:
    """Return a lesson's files by name, links resolved; report what has no place in a lesson."""
    walk = _Walk(Path(os.path.realpath(folder)), prefix, limits, report)
    files = sorted(walk.files(), key=lambda file: file.name)
    total = sum(file.size for file in files)
    if total > limits.unpacked_bytes:
        report.error(
            f"holds {human_bytes(total)}; at most {human_bytes(limits.unpacked_bytes)} are allowed",
            file=prefix,
        )
    return files
