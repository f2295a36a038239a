"""What a container may do, by the flavor of its image.

``untrusted`` is the default and the least, ``legacy`` adds what networking needs, as forwarding
does to any, and only ``trusted`` is privileged, as virtual network devices have to be.
"""

from collections.abc import Mapping

from scheduler.backends.base import BackendRejected, ImageSpec, LessonSpec
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.options import Options

LEARNER_ID = 1000
"""User and group of our own containers, and the owner of the lesson's folder: the first user of
most images, so that learners may write there."""

_LAST_GROUP = 2**31 - 1

# OpenSSH's server starts as root, writes an audit record, and becomes the user who logs in.
_SSH_SERVER = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
    "SYS_CHROOT",
)
_NETWORKING = ("NET_ADMIN", "NET_RAW")
_CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "untrusted": _SSH_SERVER,
    "legacy": (*_SSH_SERVER, *_NETWORKING),
}


def endpoint_privileges(image: ImageSpec) -> Manifest:
    """Return the security context of an endpoint's container."""
    if image.flavor == "trusted":
        return {"privileged": True}
    if image.flavor not in _CAPABILITIES:
        raise BackendRejected(reason=f"image {image.slug!r} has no flavor {image.flavor!r}")
    capabilities = _CAPABILITIES[image.flavor]
    if image.enable_forwarding:
        # Who routes sets addresses and routes; Pod Security is out of the way already.
        capabilities = (*capabilities, *_NETWORKING)
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": list(dict.fromkeys(capabilities))},
    }


def own_privileges(*, read_only: bool = False) -> Manifest:
    """Return the security context of a container whose image is ours."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": read_only,
        "runAsGroup": LEARNER_ID,
        "runAsNonRoot": True,
        "runAsUser": LEARNER_ID,
    }


def pod_privileges(*, forwarding: bool = False) -> Manifest:
    """Return the security context of a whole pod."""
    # For ping without NET_RAW: runtimes differ in their default, and every level admits it.
    sysctls = {"net.ipv4.ping_group_range": f"0 {_LAST_GROUP}"}
    if forwarding:
        sysctls["net.ipv4.ip_forward"] = "1"
    return {
        "seccompProfile": {"type": "RuntimeDefault"},
        "sysctls": [{"name": name, "value": value} for name, value in sysctls.items()],
    }


def pod_security_level(lesson: LessonSpec) -> str:
    """Return the strictest Pod Security level that admits all of a lesson's pods.

    ``restricted`` is none of them, because SSH servers start as root. Forwarding packets takes
    a sysctl that ``baseline`` forbids.
    """
    images = [endpoint.image for endpoint in lesson.endpoints]
    if all(image.flavor == "untrusted" and not image.enable_forwarding for image in images):
        return "baseline"
    return "privileged"


def runtime_class(flavor: str, options: Options) -> Manifest:
    """Return the part of a pod's spec that puts untrusted code into a sandbox of its own."""
    if flavor != "untrusted" or not options.settings.runtime_class:
        return {}
    return {"runtimeClassName": options.settings.runtime_class}
