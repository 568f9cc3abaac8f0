"""The kinds that labs make or look at, and the paths they have in the API."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """`version` is the one that is asked for first; a cluster may serve another one of the group instead."""

    name: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    @property
    def resource(self) -> str:
        """As kubectl takes it: "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", *, version: str = "") -> str:
        """Of an object, or of all of a namespace (of the cluster, where that is empty)."""
        root = f"/apis/{self.group}" if self.group else "/api"
        where = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        return f"{root}/{version or self.version}{where}/{self.plural}" + (
            f"/{quote(name, safe='')}" if name else ""
        )


_ISTIO, _RBAC = "networking.istio.io", "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"

CORE = (
    Kind("Namespace", "namespaces", namespaced=False),
    Kind("Pod", "pods"),
    Kind("Deployment", "deployments", "apps"),
    Kind("Service", "services"),
    Kind("ServiceAccount", "serviceaccounts"),
    Kind("ConfigMap", "configmaps"),
    Kind("Secret", "secrets"),
    Kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling", "v2"),
    Kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", _ADMISSION, namespaced=False),
    Kind("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", _ADMISSION, namespaced=False),
)
ISTIO = (
    Kind("Gateway", "gateways", _ISTIO),
    Kind("VirtualService", "virtualservices", _ISTIO),
    Kind("DestinationRule", "destinationrules", _ISTIO),
    Kind("ServiceEntry", "serviceentries", _ISTIO),
)
"""What every mesh has that the labs of the runbook work on: where one is missing, Istio is."""
TELEMETRY = Kind("Telemetry", "telemetries", "telemetry.istio.io")
"""Istio's as well, for whoever traces."""
OTHERS = (
    Kind("PodDisruptionBudget", "poddisruptionbudgets", "policy"),
    Kind("Role", "roles", _RBAC),
    Kind("RoleBinding", "rolebindings", _RBAC),
    Kind("ClusterRole", "clusterroles", _RBAC, namespaced=False),
    Kind("ClusterRoleBinding", "clusterrolebindings", _RBAC, namespaced=False),
    Kind("CustomResourceDefinition", "customresourcedefinitions", "apiextensions.k8s.io", namespaced=False),
    Kind("Node", "nodes", namespaced=False),
    Kind("Lease", "leases", "coordination.k8s.io"),
)
KINDS = {kind.name: kind for kind in (*CORE, *ISTIO, TELEMETRY, *OTHERS)}
OF_ISTIO = frozenset(kind.name for kind in (*ISTIO, TELEMETRY))

_AUTHORIZATION = "authorization.k8s.io"
ACCESS_REVIEW = Kind("SelfSubjectAccessReview", "selfsubjectaccessreviews", _AUTHORIZATION, namespaced=False)
RULES_REVIEW = Kind("SelfSubjectRulesReview", "selfsubjectrulesreviews", _AUTHORIZATION, namespaced=False)
"""Questions: posted like an object, answered in its status, and kept nowhere."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: one object, or where `name` is empty all of a kind in a namespace (in the cluster, of a kind
    that is in none), those that a label `selector` takes, and of these those that `fields`, a field selector, does.
    Of what is `named_only`, the metadata are enough."""

    kind: str
    namespace: str = ""
    name: str = ""
    selector: str = ""
    named_only: bool = False
    fields: str = ""
