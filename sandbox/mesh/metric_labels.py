"""Labels of Istio's standard metrics, by what Envoy knew of a request or connection (`metric_loggers`).

As the filter `istio.stats` has them (contrib/istio/filters/http/istio_stats/source/istio_stats.cc of Envoy),
which gets who is at the other end from that proxy, in headers, or else from istiod, with the endpoint; here by
the address. Names are those of https://istio.io/latest/docs/reference/config/metrics/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.core.cluster import Cluster, Object
from sandbox.mesh import envoy_clusters, inbound, metric_loggers
from sandbox.mesh.istio import CONTAINER
from sandbox.mesh.known_services import KnownServices
from sandbox.mesh.registry import DOMAIN, Proxy
from sandbox.mesh.rules import Rules
from sandbox.mesh.workload_names import workload_name

UNKNOWN = "unknown"
_CLUSTER = "Kubernetes"
_ENTRIES = "serviceentries.networking.istio.io"

LABELS = (
    *("reporter", "source_workload", "source_canonical_service", "source_canonical_revision"),
    *("source_workload_namespace", "source_principal", "source_app", "source_version", "source_cluster"),
    *("destination_workload", "destination_workload_namespace", "destination_principal", "destination_app"),
    *("destination_version", "destination_service", "destination_canonical_service"),
    *("destination_canonical_revision", "destination_service_name", "destination_service_namespace"),
    *("destination_cluster", "request_protocol", "response_code", "grpc_response_status", "response_flags"),
    "connection_security_policy",
)
"""In the order in which a real proxy tells them. Those of an answer are of requests only."""

_STANDS_FOR = {"allow_any": envoy_clusters.PASSTHROUGH, "block_all": envoy_clusters.BLACK_HOLE}
"""Clusters by routes of those hosts that the mesh does not know."""
_UNHEARD = frozenset(("UF", "UC", "UT", "UR", "LR", "UPE"))
"""Flags of requests that the other end's proxy has not answered."""
NEVER_OPENED = frozenset(("UF", "UH", "UO", "NR", "NC", "URX", "UAEX"))
"""Flags of connections that led nowhere."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What runs at an address."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    proxied: bool
    """Whether it has a proxy that tells others who it is: a sidecar, or it is a gateway."""

    def label(self, *names: str) -> str:
        return next((self.labels[name] for name in names if self.labels.get(name)), "")

    @property
    def canonical_service(self) -> str:
        return self.label("service.istio.io/canonical-name", "app.kubernetes.io/name", "app") or self.name

    def described(self, side: str, *, by_itself: bool) -> dict[str, str]:
        """`by_itself`: its proxy has told it, and not istiod with the endpoint, which says less."""
        names = "service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"
        return {
            f"{side}_workload": self.name,
            f"{side}_workload_namespace": self.namespace,
            f"{side}_app": (self.label("app") if by_itself else "") or UNKNOWN,
            f"{side}_version": (self.label("version") if by_itself else "") or UNKNOWN,
            f"{side}_canonical_service": self.canonical_service,
            f"{side}_canonical_revision": self.label(*names) or "latest",
            f"{side}_cluster": _CLUSTER,
        }


def _nobody(side: str, identity: str) -> dict[str, str]:
    """Who has told nothing but what a certificate says."""
    found = {
        f"{side}{label}": UNKNOWN for label in ("_workload", "_app", "_version", "_canonical_service", "_cluster")
    }
    namespace = identity.partition("/ns/")[2].partition("/")[0] or UNKNOWN
    return found | {f"{side}_workload_namespace": namespace, f"{side}_canonical_revision": "latest"}


class Workloads:
    """Who is, or was last, at a pod's address."""

    def __init__(self, cluster: Cluster) -> None:
        self._by_address: dict[str, Workload] = {}
        cluster.observe("pods", self._observe)

    def _observe(self, _: Object | None, new: Object | None) -> None:
        address = ((new or {}).get("status") or {}).get("podIP")
        if new is None or not address:
            return
        metadata = new["metadata"]
        labels = metadata.get("labels") or {}
        known = self._by_address.get(address)
        if known is None or known.labels is not labels:
            name = workload_name(new)
            containers = (*new["spec"].get("containers", ()), *(new["spec"].get("initContainers") or ()))
            proxied = any(one["name"] == CONTAINER for one in containers)
            self._by_address[address] = Workload(name, metadata["namespace"], labels, proxied)

    def at(self, address: str) -> Workload | None:
        return self._by_address.get(address)


class MetricLabels:
    """What is looked up is looked up when it is asked for; of a pod that has gone it is what it was."""

    def __init__(self, cluster: Cluster, services: KnownServices) -> None:
        self._cluster, self._services = cluster, services
        self._workloads = Workloads(cluster)

    def of(self, proxy: Proxy, tags: Mapping[str, str]) -> dict[str, str]:
        """`tags` are Envoy's, empty where it had nothing to say. Labels that are not there are not of it."""
        request = metric_loggers.CODE in tags
        reporter = "source" if tags[metric_loggers.DIRECTION] == "OUTBOUND" else "destination"
        here, identity = self._workloads.at(proxy.address), tags[metric_loggers.IDENTITY]
        labels = {
            "reporter": reporter,
            "request_protocol": ("grpc" if tags[metric_loggers.GRPC] else "http") if request else "tcp",
            "response_flags": tags[metric_loggers.FLAGS] or "-",
        }
        if reporter == "source":
            own_side, other_side, security = "source", "destination", UNKNOWN
        else:
            own_side, other_side, security = "destination", "source", "mutual_tls" if identity else "none"
        own = here.described(own_side, by_itself=True) if here else _nobody(own_side, proxy.identity)
        labels |= own | self._other(other_side, tags, request=request)
        labels[f"{own_side}_principal"] = proxy.identity if identity else UNKNOWN
        labels[f"{other_side}_principal"] = identity or UNKNOWN
        labels["connection_security_policy"] = security
        host, name, namespace = self._service(proxy, tags)
        if reporter == "destination":
            host, name = host or own["destination_canonical_service"], name or own["destination_canonical_service"]
            namespace = proxy.namespace
        labels["destination_service"] = host or UNKNOWN
        labels["destination_service_name"] = name or UNKNOWN
        labels["destination_service_namespace"] = namespace or labels["destination_workload_namespace"]
        if request:
            labels["response_code"] = tags[metric_loggers.CODE] or "0"
            labels["grpc_response_status"] = tags[metric_loggers.GRPC]
        elif not NEVER_OPENED & set(labels["response_flags"].split(",")):
            labels["response_flags"] = "-"  # as it was when it was opened
        return labels

    def _other(self, side: str, tags: Mapping[str, str], *, request: bool) -> dict[str, str]:
        identity = tags[metric_loggers.IDENTITY]
        there = self._workloads.at(tags[metric_loggers.PEER].partition(":")[0])
        # Proxies tell each other who they are in the headers of a request, and of a connection within mTLS only.
        told = there is not None and there.proxied and (request or bool(identity))
        if there is None or (side == "source" and not told):
            return _nobody(side, identity)
        unheard = tags.get(metric_loggers.CODE) == "0" or _UNHEARD & set(tags[metric_loggers.FLAGS].split(","))
        return there.described(side, by_itself=told and not (side == "destination" and unheard))

    def _service(self, proxy: Proxy, tags: Mapping[str, str]) -> tuple[str, str, str]:
        """The host that was asked for, its short name and its namespace; empty where that is not known."""
        asked = tags.get(metric_loggers.AUTHORITY, "")
        if stands_for := _STANDS_FOR.get(tags.get(metric_loggers.ROUTE, "")):
            return asked, stands_for, ""
        cluster = tags[metric_loggers.CLUSTER].removeprefix(f"{proxy.id}/")
        if cluster in (envoy_clusters.PASSTHROUGH, envoy_clusters.BLACK_HOLE, envoy_clusters.INBOUND_PASSTHROUGH):
            return asked, cluster, ""
        direction, *parts = cluster.split("|")
        if direction == "outbound":
            host = parts[2]
        elif direction == "inbound":
            host = self._served(proxy).get(int(parts[0]), "")
        else:
            host = ""
        if not host:
            return asked, asked, ""
        if host.endswith(f".{DOMAIN}"):
            name, namespace, *_ = host.split(".")
            return host, name, namespace
        entries = self._cluster.list(_ENTRIES)
        entry = next((one for one in entries if host in one["spec"].get("hosts", ())), None)
        return host, host, entry["metadata"]["namespace"] if entry else ""

    def _served(self, proxy: Proxy) -> Mapping[int, str]:
        services = self._services.registry().by_namespace.get(proxy.namespace, ())
        return {one.port: one.host for one in inbound.served(proxy, services, Rules())}
