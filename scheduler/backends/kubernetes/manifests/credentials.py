"""Who a lesson's pods are, and the only objects that hold secrets."""

import base64

from scheduler.backends.base import EndpointSpec, EnvironmentSpec, Login
from scheduler.backends.kubernetes.manifests.metadata import metadata
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import PULL_SECRET, SECRET, SERVICE_ACCOUNT
from scheduler.backends.kubernetes.options import Options

DEFAULT_USER = "antidote"

BUNDLE_URL_KEY = "bundle-url"
ACCESS_PASSWORD_KEY = "access-password"  # noqa: S105 - the name of an entry


def configuration_login(spec: EnvironmentSpec, endpoint: EndpointSpec) -> Login:
    """Return who configures an endpoint."""
    image = endpoint.image
    return Login(
        username=image.config_user or image.ssh_user or DEFAULT_USER,
        password=image.config_password or image.ssh_password or spec.access_password,
    )


def configuration_password_key(endpoint: str) -> str:
    """Return the entry of the Secret that holds the password of ``configuration_login``."""
    return f"configuration-password.{endpoint}"


def secret_variable(name: str, key: str) -> Manifest:
    """Return an environment variable whose value only the Secret has."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}


def service_account(spec: EnvironmentSpec, options: Options) -> Manifest:
    """Return the account of all pods, which has no token and no rights."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(SERVICE_ACCOUNT, spec, options),
        "automountServiceAccountToken": False,
    }


def secrets(spec: EnvironmentSpec, options: Options) -> list[Manifest]:
    """Return the lesson's Secret and, where images need credentials, theirs."""
    texts = {
        BUNDLE_URL_KEY: spec.bundle_url,
        ACCESS_PASSWORD_KEY: spec.access_password,
        **{
            configuration_password_key(endpoint.name): configuration_login(spec, endpoint).password
            for endpoint in spec.lesson.endpoints
            if endpoint.configuration_type or spec.lesson.hidden
        },
    }
    found = [_secret(SECRET, "Opaque", texts, spec, options)]
    if options.pull_config:
        texts = {".dockerconfigjson": options.pull_config}
        kind = "kubernetes.io/dockerconfigjson"
        found.append(_secret(PULL_SECRET, kind, texts, spec, options))
    return found


def pod_identity(options: Options) -> Manifest:
    """Return the part of a pod's spec that says who it is."""
    identity: Manifest = {
        "automountServiceAccountToken": False,
        "serviceAccountName": SERVICE_ACCOUNT,
    }
    if options.pull_config:
        identity["imagePullSecrets"] = [{"name": PULL_SECRET}]
    return identity


def _secret(
    name: str, kind: str, texts: dict[str, str], spec: EnvironmentSpec, options: Options
) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, spec, options),
        "type": kind,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()},
    }
