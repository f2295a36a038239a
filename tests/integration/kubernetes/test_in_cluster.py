"""The way to the API server that pods have: by their account's token and the cluster's own CA."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes.config import incluster_config

from scheduler.backends.base import BackendUnavailable, Phase
from scheduler.backends.kubernetes import KubernetesBackend
from tests.contract.descriptions import start
from tests.fake_kubernetes import FakeCluster
from tests.fake_kubernetes.rbac import EVERYTHING
from tests.integration.kubernetes.conftest import lesson

_OTHER_USAGES = (
    "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign",
    "encipher_only", "decipher_only",
)  # fmt: skip


def write_certificate(certificate: Path, key: Path) -> None:
    """Write a certificate for loopback that is its own CA."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
    for extension in (
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
        x509.BasicConstraints(ca=True, path_length=0),
        x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, **dict.fromkeys(_OTHER_USAGES, False)
        ),
        identifier,
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
    ):
        critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
        builder = builder.add_extension(extension, critical=critical)
    signed = builder.sign(private, hashes.SHA256())
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which a pod finds its account: the real one needs root."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    return folder


@pytest.fixture
def cluster(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeCluster]:
    """Return a cluster behind TLS, as a pod sees it."""
    write_certificate(account / "ca.crt", tmp_path / "key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(account / "ca.crt", tmp_path / "key")
    with FakeCluster() as cluster:
        cluster._server.socket = context.wrap_socket(cluster._server.socket, server_side=True)
        (account / "token").write_text(cluster.token)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster._server.server_port))
        yield cluster


@pytest.fixture
def backend(cluster: FakeCluster, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a backend that is told of no kubeconfig."""
    # Nobody's own is looked at, should the pod's account not be found.
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "nowhere")
    settings.SYRINGE_KUBERNETES = settings.SYRINGE_KUBERNETES.model_copy(update={"kubeconfig": ""})
    return KubernetesBackend()


def test_lessons_start_by_the_account_of_the_pod(backend: KubernetesBackend) -> None:
    assert list(backend.preflight()) == []
    assert start(backend, lesson()).phase == Phase.RUNNING


def test_a_token_that_kubernetes_replaces_is_read_again(
    cluster: FakeCluster, backend: KubernetesBackend, account: Path
) -> None:
    spec = lesson()
    assert start(backend, spec).phase == Phase.RUNNING
    renewed = cluster.add_user(EVERYTHING)
    del cluster._users[cluster.token]

    with pytest.raises(BackendUnavailable, match="401"):
        backend.observe([spec.ref])
    (account / "token").write_text(renewed)

    assert backend.observe([spec.ref])[spec.ref].phase == Phase.RUNNING


def test_nobody_who_is_not_the_cluster_gets_the_token(
    cluster: FakeCluster, backend: KubernetesBackend, account: Path, tmp_path: Path
) -> None:
    write_certificate(account / "ca.crt", tmp_path / "other-key")

    with pytest.raises(BackendUnavailable, match="certificate verify failed"):
        backend.owned()

    assert len(cluster.calls) == 0


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
def test_an_account_without_its_files_is_a_sentence(
    backend: KubernetesBackend, account: Path, missing: str
) -> None:
    (account / missing).unlink()

    with pytest.raises(BackendUnavailable, match="the pod's service account"):
        backend.owned()
