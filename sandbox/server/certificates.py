"""A certificate authority for one run of the sandbox, and its only certificate.

Both are made anew at every start and trusted by nobody but the kubeconfig that is written with them. P-256,
because making such a key takes a millisecond. They have all that RFC 5280 asks for, as Python 3.13 and newer verify
it by default (ssl.VERIFY_X509_STRICT): key identifiers on both, key usages.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.core.key_usage import key_usage

_VALID = timedelta(days=365)
_CLOCK_SKEW = timedelta(hours=1)
_DNS_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")


def server_context(addresses: Iterable[str], state: Path) -> tuple[ssl.SSLContext, bytes]:
    """A TLS context for servers at `addresses`, and its CA's certificate (PEM).

    The key passes through a file of `state` that only its owner can read, since that is the only way into
    an SSLContext; it is gone when this returns.
    """
    authority_key, authority = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _DNS_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    certificate = (
        _builder(_name("mesh-workshop sandbox"), authority.subject, key.public_key(), authority_key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = state / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        write_private(path, private + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(path)
    finally:
        path.unlink(missing_ok=True)
    return context, authority.public_bytes(Encoding.PEM)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody but its owner could ever read, all of it or nothing."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    new.replace(path)


def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("mesh-workshop sandbox CA")
    certificate = (
        _builder(name, name, key.public_key(), key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage("digital_signature", "key_cert_sign"), critical=True)
        .sign(key, SHA256())
    )
    return key, certificate


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )
