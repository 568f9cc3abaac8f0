"""The Istio release the sandbox stands in for, and the names its parts know each other by."""

VERSION = "1.31.1"
HUB = "docker.io/istio"
ISTIO_NAMESPACE = "istio-system"

KUBERNETES_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
"""Those that are not a user's; nothing in them is in the mesh."""

ISTIOD = (ISTIO_NAMESPACE, "istiod")
"""The Service that Istio's webhooks name."""

SYNC_STATUS = ("pilot-discovery", "request", "GET", "/debug/syncz")
"""What `istioctl proxy-status` runs in istiod's container."""

ROOT_CERTIFICATE, REVOCATIONS = "istio-ca-root-cert", "istio-ca-crl"
"""The ConfigMaps that istiod writes into every namespace."""

CONTAINER = "istio-proxy"
"""The container of a proxy, of sidecars and gateways."""
HEALTH_PORT, HEALTH_PATH = 15021, "/healthz/ready"
STATUS_PORT = 15020
"""Of a sidecar's agent: probes of the application, statistics for Prometheus."""
STATS_PORT = 15090
"""Statistics for Prometheus, as Envoy itself has them on a real one."""

INJECTOR = "istio-sidecar-injector"
"""The injection webhook's configuration and its ConfigMap."""
NAMESPACE_LABEL = "istio-injection"
REVISION_LABEL = "istio.io/rev"
POD_LABEL = "sidecar.istio.io/inject"

PORTS_NOTE = "sandbox/ports"
"""The annotation of a gateway's Service that says why it has the ports that it has."""

ENVOY_THREADS = 1
"""Worker threads of the one Envoy. What shows of a proxy's own number is made apart (listeners.worker)."""
PROXY_THREADS = 2
"""Of a proxy whose pod asks for no other number (`proxy.istio.io/config`), and the processors of a node, which is
what it has that asks for 0."""
LARGEST_REGEX_PROGRAM = 32768
"""What an expression may compile to. istiod's own limit for sidecars; a webhook with Go's library cannot ask."""
