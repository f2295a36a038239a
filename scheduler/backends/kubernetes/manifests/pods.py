"""Pods: one for each endpoint."""

from collections.abc import Sequence

from scheduler.backends.base import EndpointSpec, EnvironmentSpec
from scheduler.backends.kubernetes.labels import ATTEMPT, LIVELESSON, Role, endpoint_labels
from scheduler.backends.kubernetes.manifests.amounts import endpoint_resources
from scheduler.backends.kubernetes.manifests.credentials import (
    ACCESS_PASSWORD_KEY,
    pod_identity,
    secret_variable,
)
from scheduler.backends.kubernetes.manifests.folder import (
    fetch_container,
    folder_mount,
    folder_volume,
)
from scheduler.backends.kubernetes.manifests.guide import role_of
from scheduler.backends.kubernetes.manifests.metadata import metadata
from scheduler.backends.kubernetes.manifests.networks import Attachment, network_annotations
from scheduler.backends.kubernetes.manifests.privileges import (
    endpoint_privileges,
    own_privileges,
    pod_privileges,
    runtime_class,
)
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import ENDPOINT_CONTAINER
from scheduler.backends.kubernetes.options import Options

# Nothing in a lesson is worth waiting for, and a shell as PID 1 ignores SIGTERM.
_GRACE_SECONDS = 1


def pod(
    spec: EnvironmentSpec, endpoint: EndpointSpec, ends: Sequence[Attachment], options: Options
) -> Manifest:
    """Return an endpoint's pod; ``ends`` are its ends of connections."""
    image = endpoint.image
    role = role_of(endpoint)
    resources = endpoint_resources(image, options.settings)
    container = {
        "name": ENDPOINT_CONTAINER,
        "image": _image(endpoint, options),
        "imagePullPolicy": options.settings.image_pull_policy,
        "env": _variables(role, options),
        "resources": resources,
        "securityContext": (own_privileges() if role is Role.GUIDE else endpoint_privileges(image)),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [folder_mount()],
    }
    if endpoint.ports:
        container["ports"] = [
            {"name": _port_name(endpoint, port), "containerPort": port, "protocol": "TCP"}
            for port in endpoint.ports
        ]
    body: Manifest = {
        **pod_identity(options),
        **runtime_class(image.flavor, options),
        **placement(options),
        "containers": [container],
        "enableServiceLinks": False,
        "initContainers": [fetch_container(spec, resources, options)],
        "restartPolicy": "Always",
        "securityContext": pod_privileges(forwarding=image.enable_forwarding),
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "volumes": [folder_volume(options)],
    }
    if spec.lesson.connections:
        body["affinity"] = _one_node(spec)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(
            endpoint.name,
            spec,
            options,
            labels=endpoint_labels(endpoint.name, role),
            annotations=network_annotations(ends),
        ),
        "spec": body,
    }


def placement(options: Options) -> Manifest:
    """Return the part of a pod's spec that says on which nodes it may run."""
    found: Manifest = {}
    if options.settings.node_selector:
        found["nodeSelector"] = dict(options.settings.node_selector)
    if options.settings.tolerations:
        found["tolerations"] = list(options.settings.tolerations)
    return found


def _variables(role: Role, options: Options) -> list[Manifest]:
    found = [secret_variable("SYRINGE_ACCESS_PASSWORD", ACCESS_PASSWORD_KEY)]
    if role is Role.GUIDE:
        found.append({"name": "SYRINGE_FRAME_ANCESTORS", "value": options.page_origins})
    return found


def _image(endpoint: EndpointSpec, options: Options) -> str:
    settings = options.settings
    if role_of(endpoint) is Role.GUIDE:
        return settings.jupyter_image
    template = settings.image.replace("{tag}", settings.image_tag)
    return template.replace("{slug}", endpoint.image.slug)


def _one_node(spec: EnvironmentSpec) -> Manifest:
    """Keep a lesson together, because its bridges do not leave their node."""
    labels = {LIVELESSON: spec.ref.live_lesson_id.hex, ATTEMPT: str(spec.ref.attempt)}
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _port_name(endpoint: EndpointSpec, port: int) -> str:
    """Say what is spoken there, for whoever looks at the pod; 15 characters at most."""
    spoken = next((p.type for p in endpoint.presentations if p.port == port), "port")
    return f"{spoken}-{port}"
