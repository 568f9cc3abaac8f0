"""The kinds that are always served, and the registry that CRDs extend at run time."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.core.cluster import ApiError, Object, Resource
from sandbox.schema.custom_kinds import establish, type_from
from sandbox.schema.types import Type, of_kind

POD_STREAMS = ("log", "exec", "attach", "portforward")


def _resource(
    api_version: str,
    plural: str,
    kind: str,
    short: str = "",
    sub: str = "",
    *,
    all_: bool = False,
    wide: bool = False,
) -> Resource:
    group, _, version = api_version.rpartition("/")
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=not wide,
        singular=kind.lower(),
        short_names=tuple(short.split()),
        categories=("all",) if all_ else (),
        subresources=tuple(sub.split()),
    )


_RBAC = "rbac.authorization.k8s.io/v1"
_ADMISSION = "admissionregistration.k8s.io/v1"
_CRD = "apiextensions.k8s.io/v1"

BUILT_IN: tuple[Resource, ...] = (
    _resource("v1", "configmaps", "ConfigMap", "cm"),
    _resource("v1", "endpoints", "Endpoints", "ep"),
    _resource("v1", "events", "Event", "ev"),
    _resource("v1", "namespaces", "Namespace", "ns", "status finalize", wide=True),
    _resource("v1", "nodes", "Node", "no", "status", wide=True),
    _resource("v1", "pods", "Pod", "po", "status proxy " + " ".join(POD_STREAMS), all_=True),
    _resource("v1", "secrets", "Secret"),
    _resource("v1", "serviceaccounts", "ServiceAccount", "sa", "token"),
    _resource("v1", "services", "Service", "svc", "status proxy", all_=True),
    _resource(_ADMISSION, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", wide=True),
    _resource(_ADMISSION, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", wide=True),
    _resource(_CRD, "customresourcedefinitions", "CustomResourceDefinition", "crd crds", "status", wide=True),
    _resource("apps/v1", "deployments", "Deployment", "deploy", "status scale", all_=True),
    _resource("apps/v1", "replicasets", "ReplicaSet", "rs", "status scale", all_=True),
    _resource("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", "status", all_=True),
    _resource("batch/v1", "cronjobs", "CronJob", "cj", "status", all_=True),
    _resource("batch/v1", "jobs", "Job", "", "status", all_=True),
    _resource("coordination.k8s.io/v1", "leases", "Lease"),
    _resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    _resource("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", "status"),
    _resource(_RBAC, "clusterrolebindings", "ClusterRoleBinding", wide=True),
    _resource(_RBAC, "clusterroles", "ClusterRole", wide=True),
    _resource(_RBAC, "rolebindings", "RoleBinding"),
    _resource(_RBAC, "roles", "Role"),
)

REFUSED: tuple[Resource, ...] = (
    _resource("v1", "limitranges", "LimitRange", "limits"),
    _resource("v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc"),
    _resource("v1", "persistentvolumes", "PersistentVolume", "pv", wide=True),
    _resource("v1", "podtemplates", "PodTemplate"),
    _resource("v1", "replicationcontrollers", "ReplicationController", "rc", all_=True),
    _resource("v1", "resourcequotas", "ResourceQuota", "quota"),
    _resource(_ADMISSION, "mutatingadmissionpolicies", "MutatingAdmissionPolicy", wide=True),
    _resource(_ADMISSION, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", wide=True),
    _resource(_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", wide=True),
    _resource(_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", wide=True),
    _resource("apps/v1", "controllerrevisions", "ControllerRevision"),
    _resource("apps/v1", "daemonsets", "DaemonSet", "ds", all_=True),
    _resource("apps/v1", "statefulsets", "StatefulSet", "sts", all_=True),
    _resource("networking.k8s.io/v1", "ingressclasses", "IngressClass", wide=True),
    _resource("networking.k8s.io/v1", "ingresses", "Ingress", "ing"),
    _resource("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "netpol"),
    _resource("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", wide=True),
    _resource("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", "pc", wide=True),
    _resource("storage.k8s.io/v1", "csidrivers", "CSIDriver", wide=True),
    _resource("storage.k8s.io/v1", "storageclasses", "StorageClass", "sc", wide=True),
)
"""Kinds that every cluster has and this one does nothing with. They are told of, so that clients find the kind,
and are read as kinds without objects; whoever writes one is told who refuses it. No other part knows of them."""

_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Registry:
    """What is served: the built-in kinds and, by CRD, custom ones in all their served versions."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str, str], Resource] = {}
        self._by_key: dict[str, Resource] = {}
        self._custom: dict[str, tuple[Resource, ...]] = {}
        self._types: dict[Resource, Type] = {}
        self.crds: dict[str, Object] = {}
        self.generation = 0
        """Grows with every change, so that what is derived from the registry can be kept until then."""
        for resource in BUILT_IN:
            self._serve(resource)
        self._refused = {
            (resource.group, resource.version, resource.plural): resource
            for resource in REFUSED
            if resource.key not in self._by_key
        }
        self._refused_types = dict.fromkeys(self._refused.values(), type_from(_ANYTHING))

    def _serve(self, resource: Resource) -> None:
        self._served[(resource.group, resource.version, resource.plural)] = resource
        self._by_key.setdefault(resource.key, resource)

    def all(self) -> list[Resource]:
        return list(self._served.values())

    def told(self) -> list[Resource]:
        """What discovery tells of: also the kinds that are refused."""
        return [*self._served.values(), *self._refused.values()]

    def refuses(self, resource: Resource) -> bool:
        return resource in self._refused_types

    def served_as(self, group: str, version: str, plural: str) -> Resource | None:
        place = group, version, plural
        return self._served.get(place) or self._refused.get(place)

    def by_key(self, key: str) -> Resource:
        """The preferred version of a kind. Raises ApiError NotFound when it is not served."""
        found = self._by_key.get(key)
        if found is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return found

    def serves(self, key: str) -> bool:
        return key in self._by_key

    def is_custom(self, key: str) -> bool:
        return key in self._custom

    def type_of(self, resource: Resource) -> Type:
        """Of the objects of a resource that is served."""
        found = self._types.get(resource) or of_kind(resource.api_version, resource.kind)
        assert found is not None
        return found

    def types(self) -> Mapping[Resource, Type]:
        """Of custom kinds, and of those that are refused: anything may stand in these."""
        return {**self._refused_types, **self._types}

    def serve_custom(self, crd: Object) -> None:
        """Serve a CRD's kind, instead of what an earlier state of the CRD said."""
        key = crd["metadata"]["name"]
        self._forget(key)
        kinds = establish(crd)
        self._custom[key] = tuple(kind.resource for kind in kinds)
        self._types.update({kind.resource: kind.type for kind in kinds})
        self.crds[key] = crd
        for resource in self._custom[key]:
            self._serve(resource)
        self.generation += 1

    def withdraw_custom(self, key: str) -> None:
        self._forget(key)
        self.generation += 1

    def _forget(self, key: str) -> None:
        for resource in self._custom.pop(key, ()):
            self._types.pop(resource, None)
            self._served.pop((resource.group, resource.version, resource.plural), None)
        if self.crds.pop(key, None) is not None:
            self._by_key.pop(key, None)
