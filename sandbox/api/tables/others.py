"""Rows of nodes, namespaces, events, configuration and roles."""

from __future__ import annotations

from typing import Any

from sandbox.api.tables.columns import NONE, UNKNOWN, age, columns, created
from sandbox.core.cluster import Object
from sandbox.core.objects import at

_ROLE = "node-role.kubernetes.io/"


def plain(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def _node(obj: Object) -> list[Any]:
    status = obj.get("status") or {}
    ready = [c["status"] for c in status.get("conditions") or () if c.get("type") == "Ready"]
    state = ["Unknown" if not ready else "Ready" if ready[0] == "True" else "NotReady"]
    if at(obj, "spec", "unschedulable"):
        state.append("SchedulingDisabled")
    labels = obj["metadata"].get("labels") or {}
    roles = sorted(label.removeprefix(_ROLE) for label in labels if label.startswith(_ROLE))
    info = status.get("nodeInfo") or {}
    addresses = {entry["type"]: entry["address"] for entry in reversed(status.get("addresses") or ())}
    return [
        obj["metadata"]["name"],
        ",".join(state),
        ",".join(roles) or NONE,
        created(obj),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _namespace(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], at(obj, "status", "phase") or "", created(obj)]


def _event(obj: Object) -> list[Any]:
    # Core events name things one way, events.k8s.io another.
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    if series := obj.get("series"):
        last, count = series.get("lastObservedTime") or last, series.get("count", count)
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance")
    kind = about.get("kind", "").lower()
    return [
        age(last),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{about['name']}" if about.get("name") else kind,
        about.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        (obj.get("message") or obj.get("note") or "").strip(),
        age(first),
        count,
        obj["metadata"]["name"],
    ]


def _config_map(obj: Object) -> list[Any]:
    entries = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [obj["metadata"]["name"], str(entries), created(obj)]


def _secret(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("type", "Opaque"), str(len(obj.get("data") or ())), created(obj)]


def _service_account(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], str(len(obj.get("secrets") or ())), created(obj)]


def _lease(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], at(obj, "spec", "holderIdentity") or "", created(obj)]


def _role_binding(obj: Object) -> list[Any]:
    role, subjects = obj["roleRef"], obj.get("subjects") or []
    accounts = [
        f"{subject.get('namespace', '')}/{subject['name']}"
        for subject in subjects
        if subject["kind"] == "ServiceAccount"
    ]
    named = {
        kind: ", ".join(subject["name"] for subject in subjects if subject["kind"] == kind)
        for kind in ("User", "Group")
    }
    return [
        obj["metadata"]["name"],
        f"{role['kind']}/{role['name']}",
        created(obj),
        named["User"],
        named["Group"],
        ", ".join(accounts),
    ]


def _webhooks(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], len(obj.get("webhooks") or ()), created(obj)]


NODES = (
    columns(
        *("Name", "Status", "Roles", "Age", "Version"),
        wide=("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"),
    ),
    _node,
)
NAMESPACES = (columns("Name", "Status", "Age"), _namespace)
EVENTS = (
    columns(
        *("Last Seen", "Type", "Reason", "Object", "+Subobject", "+Source", "Message"),
        *("+First Seen", "+Count", "+Name"),
    ),
    _event,
)
CONFIG_MAPS = (columns("Name", "Data", "Age"), _config_map)
SECRETS = (columns("Name", "Type", "Data", "Age"), _secret)
SERVICE_ACCOUNTS = (columns("Name", "Secrets", "Age"), _service_account)
LEASES = (columns("Name", "Holder", "Age"), _lease)
ROLE_BINDINGS = (columns("Name", "Role", "Age", wide=("Users", "Groups", "ServiceAccounts")), _role_binding)
WEBHOOKS = (columns("Name", "Webhooks:integer", "Age"), _webhooks)
