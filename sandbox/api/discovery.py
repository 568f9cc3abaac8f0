"""What is served, in the three ways clients ask: group by group, all at once (aggregated), and by version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sandbox.api.kinds import Registry
from sandbox.api.requests import not_served
from sandbox.core.cluster import Object, Resource

VERSION = "v1.36.1"

_READ = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_VERBS: Mapping[str, tuple[str, ...]] = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "log": ("get",),
    "finalize": ("update",),
    "binding": ("create",),
    "eviction": ("create",),
    "exec": ("create", "get"),
    "attach": ("create", "get"),
    "portforward": ("create", "get"),
}
_KINDS: Mapping[str, tuple[str, str, str]] = {
    "scale": ("autoscaling", "v1", "Scale"),
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "exec": ("", "v1", "PodExecOptions"),
    "attach": ("", "v1", "PodAttachOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
}
"""Group, version and kind of subresources that are not of their object's kind."""

REVIEWS: tuple[Resource, ...] = (
    Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False),
    Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
    Resource("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
)
"""Questions, not objects: they can only be created and are not kept."""


def version_info() -> Object:
    major, minor = VERSION.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{VERSION}-sandbox",
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
        """The document at `path` and its content type; None where there is none."""
        parts = [part for part in path.split("/") if part]
        if parts in (["api"], ["apis"]):
            core = parts == ["api"]
            for version in ("v2", "v2beta1"):
                if f"g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" in accept.replace(" ", ""):
                    kind = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
                    return self._aggregated(core, version), kind
            return (_core_versions() if core else self._groups()), "application/json"
        if parts == ["api", "v1"]:
            return self._resources("", "v1"), "application/json"
        if parts[:1] == ["apis"] and len(parts) == 2:
            return self._group(parts[1]), "application/json"
        if parts[:1] == ["apis"] and len(parts) == 3:
            return self._resources(parts[1], parts[2]), "application/json"
        return None

    def served(self) -> list[Resource]:
        return [*self._registry.all(), *REVIEWS]

    def group_versions(self) -> dict[str, list[str]]:
        """Versions of each group, the preferred one first."""
        found: dict[str, list[str]] = {}
        for resource in self.served():
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return found

    def _groups(self) -> Object:
        groups = [_api_group(name, versions) for name, versions in self.group_versions().items() if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _group(self, name: str) -> Object:
        versions = self.group_versions().get(name)
        if not versions:
            raise not_served(name)
        return {"kind": "APIGroup", "apiVersion": "v1", **_api_group(name, versions)}

    def _resources(self, group: str, version: str) -> Object:
        group_version = f"{group}/{version}" if group else version
        found = self._of(group, version)
        if not found:
            raise not_served(group_version)
        entries = [entry for resource in found for entry in _entries(resource)]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": entries,
        }

    def _of(self, group: str, version: str) -> list[Resource]:
        return [item for item in self.served() if (item.group, item.version) == (group, version)]

    def _aggregated(self, core: bool, version: str) -> Object:
        items = []
        for group, versions in self.group_versions().items():
            if core == (group == ""):
                metadata = {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None}
                items.append({"metadata": metadata, "versions": [self._version(group, name) for name in versions]})
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"apidiscovery.k8s.io/{version}",
            "metadata": {},
            "items": items,
        }

    def _version(self, group: str, version: str) -> Object:
        return {
            "version": version,
            "resources": [_aggregated_resource(resource) for resource in self._of(group, version)],
            "freshness": "Current",
        }


def verbs(resource: Resource) -> list[str]:
    return ["create"] if resource in REVIEWS else sorted(_READ)


def _core_versions() -> Object:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    }


def _api_group(name: str, versions: Iterable[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _entries(resource: Resource) -> list[Object]:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs(resource),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    entries = [entry]
    for name in resource.subresources:
        group, version, kind = _KINDS.get(name, (resource.group, resource.version, resource.kind))
        sub = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": kind,
            "verbs": list(_VERBS[name]),
        }
        if name in _KINDS:
            sub |= {"group": group, "version": version}
        entries.append(sub)
    return entries


def _aggregated_resource(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular or resource.kind.lower(),
        "verbs": verbs(resource),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    subresources = []
    for name in resource.subresources:
        group, version, kind = _KINDS.get(name, (resource.group, resource.version, resource.kind))
        subresources.append(
            {
                "subresource": name,
                "responseKind": {"group": group, "version": version, "kind": kind},
                "verbs": list(_VERBS[name]),
            }
        )
    if subresources:
        entry["subresources"] = subresources
    return entry
