"""F18: certificates that are expired, another's or nobody's are refused; nothing is sent, nothing is lost."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import figures
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fault_proxy import FaultProxy

from conftest import Rig

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The only one that the programs trust."""
    return trustme.CA()


@pytest.fixture(scope="module")
def chains(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Path]]:
    """Certificates and keys, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("certificates")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    made = {
        "expired": authority.issue_cert(HOST, not_before=past, not_after=past + timedelta(days=90)),
        "not valid yet": authority.issue_cert(HOST, not_before=datetime.now(UTC) + timedelta(days=2)),
        "of another host": authority.issue_cert("afterword.example"),
        "of another authority": trustme.CA().issue_cert(HOST),
        "valid": authority.issue_cert(HOST),
    }  # fmt: skip
    paths: dict[str, tuple[Path, Path]] = {}
    for name, issued in made.items():
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        paths[name] = certificate, key
    paths["self-signed"] = self_signed(folder)
    return paths


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate that a server has made for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "self.pem", folder / "self.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_no_certificate_but_a_valid_one_is_taken(
    rig: Rig, authority: trustme.CA, chains: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*chains["expired"])
    wrong = [name for name in chains if name != "valid"]
    with FaultProxy(rig.server.url, tls=tls) as proxy, figures.run("F18 wrong certificates") as run:
        client = rig.client(
            proxy.url,
            SSL_CERT_FILE=str(tmp_path / "authority.pem"),
            AFTERWORD_API_KEY="awk_canary",
        )
        for number, name in enumerate(wrong, 1):
            tls.load_cert_chain(*chains[name])
            greetings = proxy.greetings
            client.ask("log", prefix=name.replace(" ", "-"), count=20)
            assert client.ask("feedback", names=[f"{name.replace(' ', '-')}-0"])["pending"] == 1
            assert client.ask("flush", timeout_s=5)["durable"]
            proxy.await_greetings(greetings + 1)
            found = client.ask("status")
            assert (found["stored"], found["spooled"]) == (0, 21 * number), name
            assert proxy.requests == [], name
        tls.load_cert_chain(*chains["valid"])
        assert client.ask("deliver", timeout_s=20)["stored"] == 21 * len(wrong)
        client.end()
        assert "canary" not in client.told
        run.more["certificates"] = len(wrong)
        assert run.add(rig.check()).forgone == ()


def test_a_server_without_tls_is_not_spoken_to_in_the_clear(rig: Rig) -> None:
    with figures.run("F18 no TLS") as run:
        client = rig.client(
            rig.proxy.url.replace("http:", "https:"), AFTERWORD_API_KEY="awk_canary"
        )
        client.ask("log", prefix="a", count=20)
        assert client.ask("flush", timeout_s=5)["durable"]
        assert client.ask("status")["spooled"] == 20
        client.end()
        assert rig.proxy.connections > 0
        assert rig.proxy.requests == []
        run.loops += 1
