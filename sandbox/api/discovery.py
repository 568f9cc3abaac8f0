"""What is served, in the two ways clients ask: group by group, and all at once (aggregated).

Also the reviews by which kubectl asks who it is and what it may do: questions, not objects, with answers that never
change, for the sandbox has one user, who may do everything.
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.api.api_errors import not_served
from sandbox.api.kinds import Registry
from sandbox.core.cluster import Object, Resource
from sandbox.core.constants import KUBERNETES_VERSION, SANDBOX_VERSION

_AGGREGATED = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_READ_WRITE = ("create", "delete", "get", "list", "patch", "update", "watch")
_CORE_VERSIONS: Object = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
_ANY_METHOD = ("create", "delete", "get", "patch", "update")
_SUBRESOURCES: Mapping[str, tuple[tuple[str, ...], tuple[str, str, str] | None]] = {
    "status": (("get", "patch", "update"), None),
    "scale": (("get", "patch", "update"), ("autoscaling", "v1", "Scale")),
    "log": (("get",), None),
    "finalize": (("update",), None),
    "exec": (("create", "get"), ("", "v1", "PodExecOptions")),
    "attach": (("create", "get"), ("", "v1", "PodAttachOptions")),
    "portforward": (("create", "get"), ("", "v1", "PodPortForwardOptions")),
    "token": (("create",), ("authentication.k8s.io", "v1", "TokenRequest")),
    "pods/proxy": (_ANY_METHOD, ("", "v1", "PodProxyOptions")),
    "services/proxy": (_ANY_METHOD, ("", "v1", "ServiceProxyOptions")),
}
"""What one does with a subresource; its group, version and kind where it is not of its object's kind."""

REVIEWS: Mapping[Resource, Object] = {
    Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False): {
        "userInfo": {"username": "workshop", "groups": ["system:masters", "system:authenticated"]}
    },
    Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False): {
        "allowed": True,
        "reason": "the sandbox has one user, who may do everything",
    },
    Resource("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False): {
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": False,
    },
}
"""Each with its status. They can only be created, and are not kept."""


def version_info() -> Object:
    major, minor = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": SANDBOX_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-05-12T00:00:00Z",
        "goVersion": "none",
        "compiler": "python",
        "platform": "linux/amd64",
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
    }


class Discovery:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def document(self, path: str, accept: str) -> tuple[Object, str] | None:
        """The document at `path` and its content type; None where there is none. Raises ApiError NotFound."""
        parts = [part for part in path.split("/") if part]
        if parts in (["api"], ["apis"]):
            if _AGGREGATED in accept.replace(" ", ""):
                return self._aggregated(core=parts == ["api"]), f"application/json;{_AGGREGATED}"
            return _CORE_VERSIONS if parts == ["api"] else self._groups(), "application/json"
        if parts == ["api", "v1"]:
            return self._resources("", "v1"), "application/json"
        if parts[:1] == ["apis"] and len(parts) == 2:
            return self._group(parts[1]), "application/json"
        if parts[:1] == ["apis"] and len(parts) == 3:
            return self._resources(parts[1], parts[2]), "application/json"
        return None

    def _group_versions(self) -> dict[str, list[str]]:
        """Versions of each group, the preferred one first."""
        found: dict[str, list[str]] = {}
        for resource in [*self._registry.told(), *REVIEWS]:
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return found

    def _groups(self) -> Object:
        groups = [_versions(name, versions) for name, versions in self._group_versions().items() if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _group(self, name: str) -> Object:
        versions = self._group_versions().get(name)
        if versions is None:
            raise not_served(f"group {name}")
        return {"kind": "APIGroup", "apiVersion": "v1", **_versions(name, versions)}

    def _resources(self, group: str, version: str) -> Object:
        group_version = f"{group}/{version}" if group else version
        found = self._of(group, version)
        if not found:
            raise not_served(group_version)
        entries = [entry for resource in found for entry in _entries(resource)]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}

    def _of(self, group: str, version: str) -> list[Resource]:
        served = [*self._registry.told(), *REVIEWS]
        return [one for one in served if (one.group, one.version) == (group, version)]

    def _aggregated(self, *, core: bool) -> Object:
        items = []
        for group, names in self._group_versions().items():
            if core == (group == ""):
                metadata = {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None}
                versions = [
                    {
                        "version": version,
                        "resources": [_aggregated_resource(resource) for resource in self._of(group, version)],
                        "freshness": "Current",
                    }
                    for version in names
                ]
                items.append({"metadata": metadata, "versions": versions})
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }


def _versions(group: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _subresource(resource: Resource, name: str) -> tuple[tuple[str, ...], tuple[str, str, str] | None]:
    return _SUBRESOURCES.get(f"{resource.plural}/{name}") or _SUBRESOURCES[name]


def _names(resource: Resource) -> Object:
    """What both forms say of a kind in the same words."""
    found: Object = {"verbs": ["create"] if resource in REVIEWS else list(_READ_WRITE)}
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    return found


def _entries(resource: Resource) -> list[Object]:
    singular, namespaced = resource.singular or resource.kind.lower(), resource.namespaced
    entry = {"name": resource.plural, "singularName": singular, "namespaced": namespaced, "kind": resource.kind}
    entries = [{**entry, **_names(resource)}]
    for name in resource.subresources:
        verbs, own = _subresource(resource, name)
        kind = dict(zip(("group", "version", "kind"), own, strict=True)) if own else {"kind": resource.kind}
        sub = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": namespaced}
        entries.append({**sub, **kind, "verbs": list(verbs)})
    return entries


def _aggregated_resource(resource: Resource) -> Object:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    entry: Object = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular or resource.kind.lower(),
        **_names(resource),
    }
    subresources = []
    for name in resource.subresources:
        verbs, own = _subresource(resource, name)
        shown = dict(zip(("group", "version", "kind"), own, strict=True)) if own else kind
        subresources.append({"subresource": name, "responseKind": shown, "verbs": list(verbs)})
    if subresources:
        entry["subresources"] = subresources
    return entry
