"""Ingresses: lessons' web pages at host names of their own."""

import base64
import hmac
import json

from scheduler.backends.base import EnvironmentRef, EnvironmentSpec, LessonSpec, PresentationSpec
from scheduler.backends.kubernetes.labels import ENDPOINT
from scheduler.backends.kubernetes.manifests.metadata import metadata
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import ingress_name
from scheduler.backends.kubernetes.options import Options

_LABEL_BYTES = 20


def web_pages(lesson: LessonSpec) -> list[tuple[str, PresentationSpec]]:
    """Return the web presentations of a lesson with their endpoints' names."""
    return [
        (endpoint.name, presentation)
        for endpoint in lesson.endpoints
        for presentation in endpoint.presentations
        if presentation.type == "http"
    ]


def page_domain(ref: EnvironmentRef, endpoint: str, presentation: str, options: Options) -> str:
    """Return the host name that shows one web page, empty without a domain for them.

    Whoever knows it may see the page, so it is a MAC that only the secret key can make.
    """
    if not options.settings.ingress_domain:
        return ""
    message = json.dumps([options.instance, ref.name, endpoint, presentation]).encode()
    digest = hmac.digest(options.page_key, message, "sha256")[:_LABEL_BYTES]
    label = base64.b32encode(digest).decode().lower()
    return f"{label}.{options.settings.ingress_domain}"


def ingresses(spec: EnvironmentSpec, options: Options) -> list[Manifest]:
    """Return an Ingress for each web page; none without a domain, as the gateway shows them."""
    if not options.settings.ingress_domain:
        return []
    return [_ingress(spec, name, page, options) for name, page in web_pages(spec.lesson)]


def _ingress(
    spec: EnvironmentSpec, endpoint: str, page: PresentationSpec, options: Options
) -> Manifest:
    settings = options.settings
    host = page_domain(spec.ref, endpoint, page.name, options)
    service = {"name": endpoint, "port": {"number": page.port}}
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": service}}
    body: Manifest = {"rules": [{"host": host, "http": {"paths": [path]}}]}
    if settings.ingress_class:
        body["ingressClassName"] = settings.ingress_class
    if settings.ingress_tls != "none":
        # Without a name the controller takes its own certificate, whose key stays where it is.
        named = {} if settings.ingress_tls == "default" else {"secretName": settings.ingress_tls}
        body["tls"] = [{"hosts": [host], **named}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(
            ingress_name(endpoint, page.name),
            spec,
            options,
            labels={ENDPOINT: endpoint},
            annotations=settings.ingress_annotations,
        ),
        "spec": body,
    }
