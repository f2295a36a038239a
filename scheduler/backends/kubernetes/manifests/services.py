"""Services: how endpoints find each other by name."""

from scheduler.backends.base import EndpointSpec, EnvironmentSpec
from scheduler.backends.kubernetes.labels import ATTEMPT, ENDPOINT, LIVELESSON, endpoint_labels
from scheduler.backends.kubernetes.manifests.guide import role_of
from scheduler.backends.kubernetes.manifests.metadata import metadata
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.options import Options


def service(spec: EnvironmentSpec, endpoint: EndpointSpec, options: Options) -> Manifest:
    """Return an endpoint's Service, which is headless: its name is the pod's address.

    So every port answers, not only those that the lesson lists, and the name is there before the
    pod is ready, as configuration needs it.
    """
    body: Manifest = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {
            LIVELESSON: spec.ref.live_lesson_id.hex,
            ATTEMPT: str(spec.ref.attempt),
            **endpoint_labels(endpoint.name, role_of(endpoint)),
        },
    }
    if endpoint.ports:
        body["ports"] = [
            {"name": f"port-{port}", "port": port, "protocol": "TCP", "targetPort": port}
            for port in endpoint.ports
        ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(endpoint.name, spec, options, labels={ENDPOINT: endpoint.name}),
        "spec": body,
    }
