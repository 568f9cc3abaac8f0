"""The Istio release the sandbox stands in for, and the names its parts know each other by."""

VERSION = "1.31.1"
HUB = "docker.io/istio"
ISTIO_NAMESPACE = "istio-system"

ISTIOD = (ISTIO_NAMESPACE, "istiod")
"""The Service that Istio's webhooks name."""

ROOT_CERTIFICATE, REVOCATIONS = "istio-ca-root-cert", "istio-ca-crl"
"""The ConfigMaps that istiod writes into every namespace."""
