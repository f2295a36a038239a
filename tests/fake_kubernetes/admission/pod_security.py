"""Pod Security admission by the label of the namespace; only ``enforce`` refuses.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
https://kubernetes.io/docs/concepts/security/pod-security-admission/
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.errors import forbidden
from tests.fake_kubernetes.objects import Manifest, labels_of
from tests.fake_kubernetes.store import Store

_CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
SAFE_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_syncookies",
    )
)
_VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)


def check(store: Store, pod: Manifest) -> None:
    """Refuse a pod that its namespace's level forbids."""
    namespace = store.get(kinds.NAMESPACES, ("", pod["metadata"]["namespace"]))
    assert namespace is not None
    labels = labels_of(namespace)
    level = labels.get("pod-security.kubernetes.io/enforce", "privileged")
    version = labels.get("pod-security.kubernetes.io/enforce-version", "latest")
    if level == "privileged":
        return
    violations = _baseline(pod["spec"])
    if level == "restricted":
        violations += _restricted(pod["spec"])
    if violations:
        why = f'violates PodSecurity "{level}:{version}": {", ".join(violations)}'
        raise forbidden(kinds.PODS, pod["metadata"]["name"], why)


def _containers(spec: Manifest) -> list[Manifest]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _context(holder: Manifest) -> Manifest:
    return holder.get("securityContext") or {}


def _said(rule: str, containers: Iterable[str], what: str) -> list[str]:
    names = [f'"{name}"' for name in containers]
    if not names:
        return []
    noun = "container" if len(names) == 1 else "containers"
    return [f"{rule} ({noun} {', '.join(names)} {what})"]


def _baseline(spec: Manifest) -> list[str]:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline"""
    containers = _containers(spec)
    violations = []
    hosts = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if hosts:
        violations.append(f"host namespaces ({', '.join(f'{name}=true' for name in hosts)})")
    violations += _said(
        "privileged",
        (c["name"] for c in containers if _context(c).get("privileged")),
        "must not set securityContext.privileged=true",
    )
    for container in containers:
        added = (_context(container).get("capabilities") or {}).get("add") or ()
        if extra := sorted(set(added) - _CAPABILITIES):
            listed = ", ".join(f'"{name}"' for name in extra)
            violations.append(
                f'non-default capabilities (container "{container["name"]}" must not include '
                f"{listed} in securityContext.capabilities.add)"
            )
    volumes = [v["name"] for v in spec.get("volumes") or () if v.get("hostPath") is not None]
    if volumes:
        listed = ", ".join(f'"{name}"' for name in volumes)
        violations.append(f"hostPath volumes (volume {listed})")
    for container in containers:
        ports = [p["hostPort"] for p in container.get("ports") or () if p.get("hostPort")]
        if ports:
            listed = ", ".join(map(str, ports))
            violations.append(f'hostPort (container "{container["name"]}" uses hostPort {listed})')
    unconfined = [
        c["name"]
        for c in containers
        if (_context(c).get("seccompProfile") or {}).get("type") == "Unconfined"
    ]
    violations += _said("seccompProfile", unconfined, "must not set seccompProfile to Unconfined")
    if (_context(spec).get("seccompProfile") or {}).get("type") == "Unconfined":
        violations.append("seccompProfile (pod must not set seccompProfile to Unconfined)")
    mounted = [
        c["name"] for c in containers if _context(c).get("procMount", "Default") != "Default"
    ]
    violations += _said("procMount", mounted, "must not set securityContext.procMount")
    sysctls = [
        s["name"] for s in _context(spec).get("sysctls") or () if s["name"] not in SAFE_SYSCTLS
    ]
    if sysctls:
        violations.append(f"forbidden sysctls ({', '.join(sysctls)})")
    return violations


def _restricted(spec: Manifest) -> list[str]:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    containers, pod = _containers(spec), _context(spec)
    violations = []
    for volume in spec.get("volumes") or ():
        kind = next(name for name in volume if name != "name")
        if kind not in _VOLUMES:
            text = f'volume "{volume["name"]}" uses restricted volume type "{kind}"'
            violations.append(f"restricted volume types ({text})")
    violations += _said(
        "allowPrivilegeEscalation != false",
        (c["name"] for c in containers if _context(c).get("allowPrivilegeEscalation") is not False),
        "must set securityContext.allowPrivilegeEscalation=false",
    )
    undropped = [
        c["name"]
        for c in containers
        if "ALL" not in ((_context(c).get("capabilities") or {}).get("drop") or ())
        or set((_context(c).get("capabilities") or {}).get("add") or ()) - {"NET_BIND_SERVICE"}
    ]
    violations += _said(
        "unrestricted capabilities", undropped, 'must set securityContext.capabilities.drop=["ALL"]'
    )
    root = [
        c["name"]
        for c in containers
        if not _context(c).get("runAsNonRoot", pod.get("runAsNonRoot", False))
    ]
    violations += _said("runAsNonRoot != true", root, "must set securityContext.runAsNonRoot=true")
    zero = [
        c["name"] for c in containers if _context(c).get("runAsUser", pod.get("runAsUser")) == 0
    ]
    violations += _said("runAsUser=0", zero, "must not set runAsUser=0")
    loose = [
        c["name"]
        for c in containers
        if (_context(c).get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
        not in ("RuntimeDefault", "Localhost")
    ]
    violations += _said(
        "seccompProfile",
        loose,
        'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
    )
    return violations
