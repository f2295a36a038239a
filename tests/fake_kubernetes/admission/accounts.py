"""Service accounts of pods.

https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#serviceaccount-admission-controller
"""

from __future__ import annotations

import secrets

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.errors import forbidden
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.store import Store

_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def give_account(store: Store, pod: Manifest) -> None:
    """Give a pod its account, the account's pull secrets and, unless refused, a token."""
    spec, metadata = pod["spec"], pod["metadata"]
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = store.get(kinds.SERVICE_ACCOUNTS, (metadata["namespace"], name))
    if account is None:
        why = (
            f"error looking up service account {metadata['namespace']}/{name}: "
            f'serviceaccount "{name}" not found'
        )
        raise forbidden(kinds.PODS, metadata["name"], why)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None:
        wanted = account.get("automountServiceAccountToken", True)
    if wanted:
        _mount_token(spec)


def _mount_token(spec: Manifest) -> None:
    name = f"kube-api-access-{secrets.token_hex(3)[:5]}"
    spec.setdefault("volumes", []).append(
        {
            "name": name,
            "projected": {
                "defaultMode": 420,
                "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {
                        "configMap": {
                            "name": "kube-root-ca.crt",
                            "items": [{"key": "ca.crt", "path": "ca.crt"}],
                        }
                    },
                ],
            },
        }
    )
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        mounts = container.setdefault("volumeMounts", [])
        if all(mount.get("mountPath") != _MOUNT for mount in mounts):
            mounts.append({"name": name, "mountPath": _MOUNT, "readOnly": True})
