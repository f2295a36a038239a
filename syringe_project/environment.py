"""Every setting that the environment can change: the one place where it is read.

The configuration table of the README is generated from the descriptions here.
"""

import os
import tempfile
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# `make up` writes its settings there, so that ./manage.py in another terminal finds the same
# servers; variables win over the file.
ENV_FILE = os.environ.get("SYRINGE_ENV_FILE", str(PROJECT_ROOT / ".data" / "environment"))


class Environment(BaseSettings):
    """The ``SYRINGE_*`` variables, typed; secrets have no default, so a missing one stops boot."""

    model_config = SettingsConfigDict(
        env_prefix="SYRINGE_", env_file=ENV_FILE, frozen=True, extra="ignore"
    )

    secret_key: SecretStr = Field(
        description="Key of every MAC and signed cookie. `make up` makes one.",
        min_length=32,
    )
    database_url: SecretStr = Field(
        description="PostgreSQL, as `postgresql://user:password@host:port/name`. "
        "`make up` embeds a server when it is not given.",
    )
    redis_url: SecretStr = Field(
        description="Redis or Valkey, as `redis://host:port/db`. `make up` embeds a "
        "server when it is not given.",
    )
    instance: str = Field(
        default="syringe",
        pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$",
        description="Name of this installation: prefixes Redis keys, labels and run folders, so "
        "that several share machines and clusters.",
    )
    tier: Literal["prod", "ptr", "local"] = Field(
        default="prod",
        description="Which lessons are shown: `prod` those of tier prod, `ptr` also those of tier "
        "ptr, `local` all.",
    )
    port: int = Field(
        default=8000, ge=1, le=65535, description="Port of the front door, on loopback."
    )
    public_url: str = Field(
        default="",
        description="Address that learners' browsers use, without a trailing slash; empty: "
        "`http://localhost:PORT`.",
    )
    debug: bool = Field(default=False, description="Django's debug pages. Never in production.")
    allowed_hosts: str = Field(
        default="localhost,127.0.0.1,[::1]",
        description="Host names this installation answers to, separated by commas.",
    )
    cors_allowed_origins: str = Field(
        default="*",
        description="Origins, separated by commas, whose pages may call `/exp`; `*` for any.",
    )
    trusted_proxies: str = Field(
        default="",
        description="Networks (CIDR, separated by commas; `unix` for a UNIX socket) whose "
        "`X-Forwarded-For` is believed, the nearest address outside them being the learner's. "
        "Empty: the header is ignored.",
    )
    run_folder: Path = Field(
        default=Path(tempfile.gettempdir()) / f"syringe-{os.getuid()}",
        description="Where sockets and sandboxes of this machine live; a folder per instance is "
        "made below it.",
    )
    web_url: str = Field(
        default="",
        pattern=r"^$|^http://[^/?#]+/?$",
        description="Where the gateway finds the web process, as `http://host:port`; empty: at its "
        "UNIX socket in the run folder.",
    )
    static_folder: Path | None = Field(
        default=None,
        description="Where `collectstatic` puts static files and web serves them from; empty: from "
        "the packages that bring them.",
    )
    heartbeat_file: Path | None = Field(
        default=None,
        description="File that workers, beat and the watcher touch as long as they work, for "
        "health checks; empty: none.",
    )
    backend: str = Field(
        default="scheduler.backends.local.LocalBackend",
        description="Dotted path of the place where lessons run: "
        "`scheduler.backends.local.LocalBackend`, "
        "`scheduler.backends.kubernetes.KubernetesBackend` or "
        "`scheduler.backends.fake.FakeBackend`. When it changes, lessons that run elsewhere end.",
    )
    fake_script: str = Field(
        default="{}",
        description="JSON that scripts the fake backend's latencies and faults; see "
        "`scheduler/backends/fake.py`.",
    )
    worker_threads: int = Field(
        default=8, ge=1, le=64, description="Threads of a worker; each may hold one connection."
    )
    livelessons_per_session: int = Field(
        default=5, ge=0, description="Livelessons a session may have at once; 0: no limit."
    )
    sessions_per_address: int = Field(
        default=50, ge=0, description="Sessions a source address may have at once; 0: no limit."
    )
    boot_timeout_seconds: int = Field(
        default=600, ge=1, description="How long an environment may take until it is reachable."
    )
    configuration_timeout_seconds: int = Field(
        default=600, ge=1, description="How long configuring a stage may take."
    )
    start_attempts: int = Field(
        default=3, ge=1, le=100, description="Environments tried before a livelesson is FAILED."
    )
    lease_seconds: int = Field(
        default=30,
        ge=2,
        description="How long a run of the reconciler may hold a livelesson. Above the longest "
        "backend call.",
    )
    idle_timeout_seconds: int = Field(
        default=3600, ge=1, description="Unused livelessons end after this time."
    )
    away_seconds: int = Field(
        default=600,
        ge=1,
        description="Objectives of livelessons that are unused for this time are not checked until "
        "they are used again.",
    )
    checks_at_once: int = Field(
        default=1000,
        ge=5,
        description="How many checks of objectives one checker makes at a time. A fifth is kept "
        "for quick ones; the rest is for slow ones and for jobs, half each.",
    )
    lifetime_seconds: int = Field(
        default=6 * 3600, ge=1, description="Every livelesson ends after this time at the latest."
    )
    extension_seconds: int = Field(
        default=3600, ge=1, description="What one extension adds to a livelesson's lifetime."
    )
    max_lifetime_seconds: int = Field(
        default=24 * 3600, ge=1, description="No extension goes beyond this age."
    )
    session_timeout_seconds: int = Field(
        default=86400,
        ge=1,
        description="Unused sessions without livelessons are removed after this time.",
    )
    retention_seconds: int = Field(
        default=30 * 86400, ge=0, description="How long rows of ended livelessons are kept."
    )
    bundle_max_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1024, description="Largest lesson folder, packed, in bytes."
    )
    bundle_url: str = Field(
        default="http://localhost:8002",
        description="Address at which lessons' pods reach the bundle service, without a trailing "
        "slash.",
    )
    bundle_bind: str = Field(
        default="127.0.0.1:8002",
        pattern=r"^[^:]+:[0-9]{1,5}$",
        description="Address and port on which `make up` serves bundles where lessons run on "
        "Kubernetes; pods that come from elsewhere than this machine need another address.",
    )
    sentry_dsn: SecretStr = Field(
        default=SecretStr(""), description="Where errors are reported to; empty: nowhere."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe log records that are printed."
    )
    failpoint: str = Field(
        default="",
        description="Test only: name of the failpoint at which the process kills itself, as "
        "`NAME` or `NAME@FILE`, where FILE keeps it from happening twice.",
    )

    @field_validator("public_url", "bundle_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for proxy in split_list(value):
            if proxy != "unix":
                ip_network(proxy, strict=False)
        return value

    @property
    def instance_folder(self) -> Path:
        """The folder of this instance's sockets and sandboxes."""
        return self.run_folder / self.instance


def touch_heartbeat_file() -> None:
    """Show health checks that this process is not stuck, where they want to know."""
    if (file := environment().heartbeat_file) is not None:
        file.touch()


def split_list(value: str) -> list[str]:
    """Split a comma-separated setting, dropping blanks."""
    return [part.strip() for part in value.split(",") if part.strip()]


@cache
def environment() -> Environment:
    """Return this process's environment; raise pydantic.ValidationError naming what is wrong."""
    return Environment()
