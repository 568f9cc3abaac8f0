"""Certificates of the mesh: what gateways take out of Secrets, and what istiod writes into every namespace."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from sandbox.core.cluster import ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import terminating
from sandbox.core.turns import Turns
from sandbox.mesh.debounced_watch import DebouncedWatch
from sandbox.mesh.identities import Authority
from sandbox.mesh.istio import KUBERNETES_NAMESPACES, REVOCATIONS, ROOT_CERTIFICATE

LABELS = {"istio.io/config": "true"}
MANAGER = "pilot-discovery"

_NOT_IN = frozenset(KUBERNETES_NAMESPACES) - {"kube-system"}

log = logging.getLogger(__name__)


class RootCertificates:
    """What istiod writes into every namespace: the root certificate that proxies trust, and what is revoked.

    They are there for pods' volumes. While istiod runs, one that is deleted or changed is written again. Nobody
    removes them afterwards, neither istiod nor `istioctl uninstall`.

    `watch` runs while istiod does. The authority is this cluster's for as long as the sandbox runs."""

    def __init__(self, cluster: Cluster, authority: Authority) -> None:
        self._cluster, self._authority = cluster, authority
        self._data: dict[str, dict[str, str]] = {}
        self._due: set[str] = set()
        """Namespaces that may lack one of them."""
        self.watch = DebouncedWatch(cluster, ("namespaces", "configmaps"), self._write, self._relevant)

    def _relevant(self, event: WatchEvent) -> bool:
        metadata = event.object["metadata"]
        if event.resource == "namespaces":
            self._due.add(metadata["name"])
        elif metadata["name"] in (ROOT_CERTIFICATE, REVOCATIONS):
            self._due.add(metadata["namespace"])
        else:
            return False
        return True

    async def _write(self) -> None:
        if not self._data:
            self._data = {
                ROOT_CERTIFICATE: {"root-cert.pem": self._authority.root},
                REVOCATIONS: {"ca-crl.pem": ""},
            }
        turns, left = Turns(), set()
        while self._due:
            namespace = self._due.pop()
            found = self._cluster.find("namespaces", None, namespace)
            if namespace in _NOT_IN or found is None or terminating(found):
                continue
            for name, data in self._data.items():
                try:
                    self._keep(namespace, name, data)
                except ApiError as error:
                    log.error("%s was not written into namespace %s: %s", name, namespace, error.message)
                    left.add(namespace)
            await turns.give()
        self._due |= left

    def _keep(self, namespace: str, name: str, data: dict[str, str]) -> None:
        live = self._cluster.find("configmaps", namespace, name)
        if live is None:
            metadata: Object = {"name": name, "namespace": namespace, "labels": dict(LABELS)}
            self._cluster.create("configmaps", {"metadata": metadata, "data": dict(data)}, manager=MANAGER)
        elif not data.items() <= (live.get("data") or {}).items():

            def put_right(obj: Object) -> None:
                obj["data"] = {**(obj.get("data") or {}), **data}

            self._cluster.edit("configmaps", namespace, name, put_right, manager=MANAGER)


# What gateways take out of Secrets

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


def credential_names(gateways: Iterable[Object]) -> frozenset[str]:
    """The Secrets that Gateways refer to."""
    found = {
        server["tls"]["credentialName"]
        for gateway in gateways
        for server in gateway["spec"].get("servers") or []
        if (server.get("tls") or {}).get("credentialName")
    }
    return frozenset(found | {name + _AUTHORITY_SUFFIX for name in found})


def credentials(wanted: Iterable[str], secrets: Mapping[str, Object]) -> dict[str, Credential]:
    """Of the `wanted` names those that a Secret (by name, of the gateway's namespace) has a usable pair for.

    Secrets of type kubernetes.io/tls, and generic ones with Istio's older keys `cert`, `key` and `cacert`.
    """
    found = {}
    for name in wanted:
        secret, other = secrets.get(name) or {}, secrets.get(name + _AUTHORITY_SUFFIX) or {}
        chain, key = _pem(secret, "tls.crt", "cert"), _pem(secret, "tls.key", "key")
        authority = _pem(secret, "ca.crt", "cacert") or _pem(other, "ca.crt", "cacert")
        if chain and key and (problem := _credential_problem(chain, key, authority)) is None:
            found[name] = Credential(chain, key, authority)
        elif chain and key:
            log.warning("secret %s is not used: %s", name, problem)
    return found


def _pem(secret: Object, *keys: str) -> str:
    data = secret.get("data") or {}
    value = next((data[key] for key in keys if data.get(key)), "")
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


@lru_cache(maxsize=64)
def _credential_problem(chain: str, key: str, authority: str) -> str | None:
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
