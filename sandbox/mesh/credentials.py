"""Certificates for gateways, out of Secrets."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from sandbox.core.cluster import Object

log = logging.getLogger(__name__)

_AUTHORITY_SUFFIX = "-cacert"
"""A client CA may be in a Secret of its own, named so after the other."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A server's chain and key, and the CA of its clients ("" for none): PEM."""

    chain: str
    key: str
    authority: str

    def __repr__(self) -> str:
        return "Credential(...)"


def names(gateways: Iterable[Object]) -> frozenset[str]:
    """The Secrets that Gateways refer to."""
    found = {
        server["tls"]["credentialName"]
        for gateway in gateways
        for server in gateway["spec"].get("servers") or []
        if (server.get("tls") or {}).get("credentialName")
    }
    return frozenset(found | {name + _AUTHORITY_SUFFIX for name in found})


def read(wanted: Iterable[str], secrets: Mapping[str, Object]) -> dict[str, Credential]:
    """Of the `wanted` names those that a Secret (by name, of the gateway's namespace) has a usable pair for.

    Secrets of type kubernetes.io/tls, and generic ones with Istio's older keys `cert`, `key` and `cacert`.
    """
    found = {}
    for name in wanted:
        secret, other = secrets.get(name) or {}, secrets.get(name + _AUTHORITY_SUFFIX) or {}
        chain, key = _text(secret, "tls.crt", "cert"), _text(secret, "tls.key", "key")
        authority = _text(secret, "ca.crt", "cacert") or _text(other, "ca.crt", "cacert")
        if chain and key and (problem := _problem(chain, key, authority)) is None:
            found[name] = Credential(chain, key, authority)
        elif chain and key:
            log.warning("secret %s is not used: %s", name, problem)
    return found


def _text(secret: Object, *keys: str) -> str:
    data = secret.get("data") or {}
    value = next((data[key] for key in keys if data.get(key)), "")
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


@lru_cache(maxsize=64)
def _problem(chain: str, key: str, authority: str) -> str | None:
    """Why Envoy would not take them."""
    try:
        first, *_ = x509.load_pem_x509_certificates(chain.encode())
        private = load_pem_private_key(key.encode(), password=None)
        if authority:
            x509.load_pem_x509_certificates(authority.encode())
    except (ValueError, TypeError) as error:
        return str(error)
    as_bytes = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if first.public_key().public_bytes(*as_bytes) != private.public_key().public_bytes(*as_bytes):
        return "the key is not the certificate's"
    return None
