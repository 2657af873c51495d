"""TLS and SASL of the agent: one context for the client and for the fresh connections."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kafka.admin import KafkaAdminClient

from kafka_agent import gather
from kafka_agent.config import Config, read
from kafka_agent.probe import silence

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

ANSWER = struct.pack(">iih", 6, 77, 0)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate of 127.0.0.1, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "broker.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def config(folder: Path, more: str) -> Config:
    server = folder / "server.properties"
    server.write_text("node.id=1\nprocess.roles=broker,controller\nlog.dirs=/d\n")
    own = folder / "agent.properties"
    own.write_text(f"bootstrap.servers=a:1\nserver.properties={server}\n{more}")
    return read(own)


@contextmanager
def broker(certificate: Path, *, client_ca: bool = False) -> Generator[int, None, None]:
    """Answers over TLS; with `client_ca` it wants the client's certificate, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(100)
                tls.sendall(ANSWER)
        except OSError:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_a_broker_that_the_authority_has_signed_answers(tmp_path: Path, certificate: Path) -> None:
    found = config(tmp_path, f"security.protocol=SSL\nssl.ca.location={certificate}\n")
    with broker(certificate) as port:
        assert silence("127.0.0.1", port, 20, gather.tls_context(found)) == ""


def test_one_of_another_authority_is_told(tmp_path: Path, certificate: Path) -> None:
    found = config(tmp_path, "security.protocol=SSL\n")
    with broker(certificate) as port:
        said = silence("127.0.0.1", port, 20, gather.tls_context(found))
    assert "certificate" in said.lower()


def test_another_name_is_refused_unless_names_do_not_count(
    tmp_path: Path, certificate: Path
) -> None:
    ca = f"security.protocol=SSL\nssl.ca.location={certificate}\n"
    with broker(certificate) as port:
        said = silence("localhost", port, 20, gather.tls_context(config(tmp_path, ca)))
    assert "certificate" in said.lower()
    loose = config(tmp_path, ca + "ssl.endpoint.identification.algorithm=\n")
    with broker(certificate) as port:
        assert silence("localhost", port, 20, gather.tls_context(loose)) == ""


def test_the_agent_shows_its_own_certificate(tmp_path: Path, certificate: Path) -> None:
    found = config(
        tmp_path,
        f"security.protocol=SSL\nssl.ca.location={certificate}\nssl.certificate.location={certificate}\n"
        f"ssl.key.location={certificate}\n",
    )
    with broker(certificate, client_ca=True) as port:
        assert silence("127.0.0.1", port, 20, gather.tls_context(found)) == ""


def test_without_tls_there_is_no_context(tmp_path: Path) -> None:
    assert gather.tls_context(config(tmp_path, "")) is None


def test_user_and_context_reach_the_client_by_names_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(gather, "KafkaAdminClient", given.update)
    found = config(
        tmp_path,
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=agent\n"
        "sasl.password=p=a:ss\n",
    )
    context = ssl.create_default_context()
    gather.connect_admin(replace(found, request_ms=1234), context)
    assert set(given) <= set(KafkaAdminClient.DEFAULT_CONFIG)
    assert given["ssl_context"] is context
    assert (given["security_protocol"], given["sasl_mechanism"]) == (
        "SASL_PLAINTEXT",
        "SCRAM-SHA-512",
    )
    assert (given["sasl_plain_username"], given["sasl_plain_password"]) == ("agent", "p=a:ss")
    assert given["request_timeout_ms"] == given["bootstrap_timeout_ms"] == 1234
