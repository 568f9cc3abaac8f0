"""The Istio release the sandbox stands in for."""

VERSION = "1.31.1"
HUB = "docker.io/istio"
ISTIO_NAMESPACE = "istio-system"
