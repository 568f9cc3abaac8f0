"""Who workloads are: istiod's authority, the certificates that it signs for service accounts, and the TLS that
proxies speak with them.

A service account has one certificate, on P-256 (signing takes a millisecond), for as long as the sandbox runs. A
real agent fetches one for each proxy, and a new one before the day ends. What Envoy is told of an account's TLS is
made and written down once, however many clusters have it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.core.key_usage import key_usage
from sandbox.mesh.registry import TRUST_DOMAIN
from sandbox.mesh.xds.envoy_messages import TYPE_PREFIX, Part

OVER_TCP, OVER_HTTP = ("istio-peer-exchange", "istio"), ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""What a sidecar says that it speaks within TLS (ALPN), which tells it from a program's own TLS."""

SPOKEN_OVER_HTTP = ("istio-http/1.1", "istio")
"""Nothing that tells HTTP's version: the other side takes it from what is said first."""

_VALID = timedelta(days=3650)
_SOCKETS = "envoy.extensions.transport_sockets"
_VERSIONS = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
_PLAIN = {
    "name": "envoy.transport_sockets.raw_buffer",
    "typed_config": {"@type": f"{TYPE_PREFIX}{_SOCKETS}.raw_buffer.v3.RawBuffer"},
}

Socket = dict[str, Any]


class Authority:
    """A cluster's, made when it is first asked for something."""

    def __init__(self) -> None:
        self._sockets: dict[tuple[str, str], Any] = {}

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def root(self) -> str:
        """Its own certificate, PEM, as istiod signs one for itself."""
        name = _name(x509.NameAttribute(NameOID.ORGANIZATION_NAME, TRUST_DOMAIN))
        usage = key_usage("key_cert_sign")
        builder = _builder(name, self._key.public_key(), is_authority=True)
        builder = builder.issuer_name(name).add_extension(usage, critical=True)
        return _pem(builder.sign(self._key, SHA256()))

    def certificate(self, identity: str) -> str:
        """Who it is, PEM, as signed by this authority."""
        (one,) = self._common(identity)["tls_certificates"]
        return str(one["certificate_chain"]["inline_string"])

    def socket_of_server(self, identity: str) -> Socket:
        """For what comes in, from whoever has a certificate of this authority."""

        def make() -> Socket:
            common = {**self._common(identity), "alpn_protocols": ["istio-peer-exchange", "h2", "http/1.1"]}
            return _tls(
                "DownstreamTlsContext",
                {
                    "common_tls_context": common,
                    "require_client_certificate": True,
                    # Connections stay: sessions to come back to would be for nobody.
                    "disable_stateless_session_resumption": True,
                    "disable_stateful_session_resumption": True,
                },
            )

        made: Socket = self._once(identity, "server", make)
        return made

    def socket_of_client(self, identity: str, *, http: bool) -> Socket:
        def make() -> Socket:
            spoken = list(SPOKEN_OVER_HTTP if http else OVER_TCP)
            return _tls(
                "UpstreamTlsContext", {"common_tls_context": {**self._common(identity), "alpn_protocols": spoken}}
            )

        made: Socket = self._once(identity, f"client {http}", make)
        return made

    def matches_of_client(self, identity: str, *, http: bool) -> list[Part]:
        """mTLS where the other one has a sidecar, and plain text where it has none."""

        def make() -> list[Part]:
            mutual = {
                "name": "tlsMode-istio",
                "match": {"tlsMode": "istio"},
                "transport_socket": self.socket_of_client(identity, http=http),
            }
            return [Part(mutual), Part({"name": "tlsMode-disabled", "match": {}, "transport_socket": _PLAIN})]

        made: list[Part] = self._once(identity, f"matches {http}", make)
        return made

    def spoken_to(self, identity: str, mode: str, *, http: bool) -> dict[str, Any]:
        """What a cluster says of it: `mode` is a DestinationRule's, "" if it says nothing."""
        if mode == "DISABLE":
            return {}
        if mode == "ISTIO_MUTUAL":
            return {"transport_socket": self.socket_of_client(identity, http=http)}
        if mode == "SIMPLE":
            return {"transport_socket": self.socket_of_stranger()}
        return {"transport_socket_matches": self.matches_of_client(identity, http=http)}

    def socket_of_stranger(self) -> Socket:
        """A client that trusts what a machine's own programs do: nobody here has a certificate from them."""

        def make() -> Socket:
            trusted = {"trusted_ca": {"inline_string": Authority().root}}
            return _tls("UpstreamTlsContext", {"common_tls_context": {"validation_context": trusted}})

        made: Socket = self._once("", "stranger", make)
        return made

    def _once(self, identity: str, what: str, make: Any) -> Any:
        found = self._sockets.get((identity, what))
        if found is None:
            found = self._sockets[identity, what] = make()
        return found

    def _common(self, identity: str) -> dict[str, Any]:
        made: dict[str, Any] = self._once(identity, "common", lambda: self._make_common(identity))
        return made

    def _make_common(self, identity: str) -> dict[str, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        usage = key_usage("digital_signature", "key_encipherment")
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        who = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        issuer = x509.load_pem_x509_certificate(self.root.encode()).subject
        builder = _builder(_name(), key.public_key(), is_authority=False).issuer_name(issuer)
        for extension, critical in ((usage, True), (purposes, False), (who, True)):
            builder = builder.add_extension(extension, critical=critical)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        of_domain = {"san_type": "URI", "matcher": {"prefix": f"spiffe://{TRUST_DOMAIN}/"}}
        return {
            "tls_params": _VERSIONS,
            "tls_certificates": [
                {
                    "certificate_chain": {"inline_string": _pem(builder.sign(self._key, SHA256()))},
                    "private_key": {"inline_string": private},
                }
            ],
            "validation_context": {
                "trusted_ca": {"inline_string": self.root},
                "match_typed_subject_alt_names": [of_domain],
            },
        }


@cache
def _name(*attributes: x509.NameAttribute[str]) -> x509.Name:
    return x509.Name(attributes)


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=2))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _tls(context: str, settings: dict[str, Any]) -> Socket:
    kind = f"{TYPE_PREFIX}{_SOCKETS}.tls.v3.{context}"
    return {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": kind, **settings}}
