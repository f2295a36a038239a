"""A lesson's folder as one tar.gz that depends on nothing but names, modes and contents."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from curriculum.tree import (
    Limits,
    TreeFile,
    Unreadable,
    human_bytes,
    open_plain,
    tree_digest,
)

_COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class PackedLesson:
    """A bundle, and the digest of what was read to make it."""

    content: bytes = field(repr=False)
    sha256: str
    tree_digest: str


class _Counter(io.RawIOBase):
    """Takes bytes and remembers only how many."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        length = len(data)
        self.size += length
        return length


class _HashingReader:
    """Reads a file for tarfile and hashes what it hands over."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data


def _entry(name: str, *, size: int = 0, mode: int, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type = size, mode, kind
    return info


def _write(files: Sequence[TreeFile], sink: IO[bytes], *, limit: int) -> str:
    """Write the archive; return the digest of what went in. Raise Unreadable."""
    entries: list[tuple[TreeFile, bytes]] = []
    folders: set[str] = set()
    with (
        gzip.GzipFile(
            filename="", mode="wb", compresslevel=_COMPRESSION, fileobj=sink, mtime=0
        ) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in files:
            for parent in reversed(PurePosixPath(file.name).parents[:-1]):
                if str(parent) not in folders:
                    folders.add(str(parent))
                    archive.addfile(_entry(str(parent), mode=0o755, kind=tarfile.DIRTYPE))
            mode = 0o755 if file.executable else 0o644
            with open_plain(file.path, limit=limit) as source:
                reader = _HashingReader(source)
                entry = _entry(file.name, size=file.size, mode=mode, kind=tarfile.REGTYPE)
                try:
                    archive.addfile(entry, reader)
                except OSError as exc:
                    raise Unreadable(f"{file.name} changed while it was read") from exc
                entries.append((file, reader.digest.digest()))
    return tree_digest(entries)


def packed_size(files: Sequence[TreeFile], *, limits: Limits) -> int:
    """Return how large the bundle would be, without keeping it."""
    counter = _Counter()
    _write(files, counter, limit=limits.unpacked_bytes)  # type: ignore[arg-type]
    return counter.size


def pack(files: Sequence[TreeFile], *, limits: Limits) -> PackedLesson:
    """Pack a lesson's files, which hold neither links nor devices; raise Unreadable.

    The same names, executable bits and contents give the same bytes, with the same zlib.
    """
    sink = io.BytesIO()
    digest = _write(files, sink, limit=limits.unpacked_bytes)
    content = sink.getvalue()
    if len(content) > limits.bundle_bytes:
        raise Unreadable(
            f"is {human_bytes(len(content))} packed; "
            f"at most {human_bytes(limits.bundle_bytes)} are allowed"
        )
    return PackedLesson(content, hashlib.sha256(content).hexdigest(), digest)
