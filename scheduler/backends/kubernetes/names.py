"""Names of everything in a cluster, all made by one function."""

import hashlib
import json
import re
import unicodedata

from scheduler.backends.base import EnvironmentRef

MAX_LENGTH = 63

SERVICE_ACCOUNT = "lesson"
SECRET = "lesson"  # noqa: S105 - the name of an object
PULL_SECRET = "registry"  # noqa: S105 - the name of an object

ENDPOINT_CONTAINER = "endpoint"
FOLDER_CONTAINER = "folder"
CONFIGURATION_CONTAINER = "configuration"
CHECK_CONTAINER = "check"

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{12}")
_DIGEST_LENGTH = 12


def is_dns_label(text: str) -> bool:
    """Say whether a text is a label by RFC 1123, as Kubernetes reads it."""
    return len(text) <= MAX_LENGTH and _DNS_LABEL.fullmatch(text) is not None


def dns_label(*parts: str) -> str:
    """Return a DNS label for a list of texts: one label for one list, never the same for two.

    It is the parts with hyphens between where that can be read back, which takes that only the
    first has hyphens of its own. Any other list, and one that is too long or no label, is
    cleaned, shortened and ends in a digest of the original. The promise is for lists of the same
    length, so every kind of object keeps to one.
    """
    plain = "-".join(parts)
    if is_dns_label(plain) and all(map(_can_follow, parts[1:])):
        return plain
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGEST_LENGTH]
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"[^a-z0-9]+", "-", ascii_only.lower())
    shortened = cleaned[: MAX_LENGTH - 1 - _DIGEST_LENGTH].strip("-")
    return f"{shortened}-{digest}" if shortened else digest


def namespace_name(instance: str, ref: EnvironmentRef) -> str:
    """Return the name of an environment's namespace."""
    return dns_label(instance, ref.live_lesson_id.hex, str(ref.attempt))


def ingress_name(endpoint: str, presentation: str) -> str:
    """Return the name of the Ingress that shows one web page."""
    return dns_label(endpoint, presentation)


def connection_name(index: int, a: str, b: str) -> str:
    """Return the name of the network of a lesson's n-th connection."""
    return dns_label(a, b, str(index))


def job_name(endpoint: str, run: int) -> str:
    """Return the name of the Job that configures an endpoint in one run."""
    return dns_label(endpoint, str(run))


def check_job_name(check: str, run: int) -> str:
    """Return the name of the Job of one run of a check, which is named as no endpoint can be."""
    return dns_label(check, str(run))


def bridge_name(namespace: str, connection: str) -> str:
    """Return the name of a connection's bridge on its node; Linux allows 15 characters."""
    return "syr" + hashlib.sha256(f"{namespace}/{connection}".encode()).hexdigest()[:12]


def _can_follow(part: str) -> bool:
    return bool(part) and "-" not in part and not _DIGEST.fullmatch(part)
