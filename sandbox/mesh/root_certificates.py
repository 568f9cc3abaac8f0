"""What istiod writes into every namespace: the root certificate that proxies trust, and a list of what is revoked.

They are there for pods' volumes. While istiod runs, one that is deleted or changed is written again. Nobody removes
them afterwards, neither istiod nor `istioctl uninstall`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sandbox.core.cluster import ApiError, Cluster, Object, WatchEvent
from sandbox.mesh.reaction import Reaction
from sandbox.mesh.version import REVOCATIONS, ROOT_CERTIFICATE

LABELS = {"istio.io/config": "true"}
MANAGER = "pilot-discovery"

_NOT_IN = ("kube-public", "kube-node-lease", "local-path-storage")
_VALID = timedelta(days=3650)

log = logging.getLogger(__name__)


class RootCertificates:
    """`reaction` runs while istiod does. The authority is this cluster's for as long as the sandbox runs. It signs
    nothing, for nothing is encrypted between workloads here."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._data: dict[str, dict[str, str]] = {}
        self.reaction = Reaction(cluster, ("namespaces", "configmaps"), self._write, self._relevant)

    def _relevant(self, event: WatchEvent) -> bool:
        return event.resource == "namespaces" or event.object["metadata"]["name"] in (ROOT_CERTIFICATE, REVOCATIONS)

    async def _write(self) -> None:
        if not self._data:
            self._data = {ROOT_CERTIFICATE: {"root-cert.pem": _authority()}, REVOCATIONS: {"ca-crl.pem": ""}}
        for namespace in self._cluster.list("namespaces"):
            metadata = namespace["metadata"]
            if metadata["name"] in _NOT_IN or metadata.get("deletionTimestamp"):
                continue
            for name, data in self._data.items():
                try:
                    self._keep(metadata["name"], name, data)
                except ApiError as error:
                    log.error("%s was not written into namespace %s: %s", name, metadata["name"], error.message)

    def _keep(self, namespace: str, name: str, data: dict[str, str]) -> None:
        live = self._cluster.find("configmaps", namespace, name)
        if live is None:
            metadata: Object = {"name": name, "namespace": namespace, "labels": dict(LABELS)}
            self._cluster.create("configmaps", {"metadata": metadata, "data": dict(data)}, manager=MANAGER)
        elif not data.items() <= (live.get("data") or {}).items():

            def put_right(obj: Object) -> None:
                obj["data"] = {**(obj.get("data") or {}), **data}

            self._cluster.edit("configmaps", namespace, name, put_right, manager=MANAGER)


def _authority() -> str:
    """A certificate as istiod signs one for itself, but on P-256: such a key takes a millisecond."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "cluster.local")])
    usage = {"digital_signature": False, "content_commitment": False, "key_encipherment": False}
    usage |= {"data_encipherment": False, "key_agreement": False, "encipher_only": False, "decipher_only": False}
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + _VALID)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=False, **usage), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()
