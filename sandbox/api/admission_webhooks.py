"""Admission webhooks as the API server asks them: whose rules and selectors fit a write, and what it means when
nobody answers.

The configurations in the cluster decide, as they are at that moment. Who answers is in this process: a webhook's
Service has to be there and to have a ready endpoint, and then what stands for that service's program is called. To
ask anything else, the sandbox has no way: such a webhook fails, with its name, as its `failurePolicy` says.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Literal

from sandbox.core.cluster import Admission, AdmissionHook, ApiError, Cluster, Object, Resource
from sandbox.core.label_selectors import matches

Service = Callable[[Admission, str], None]
"""What answers at a path of a service, asked for the webhook of that name. Raises ApiError (`denied`)."""

Services = Mapping[tuple[str, str, str], Service]
"""By namespace, name and path."""

_GROUP = "admissionregistration.k8s.io"
_NOTHING: Mapping[str, Any] = {}


class Unanswered(Exception):
    """Why a webhook could not be asked, in the API server's words."""


def hook(cluster: Cluster, kind: Literal["mutating", "validating"], services: Services) -> AdmissionHook:
    """Asks the webhooks of that kind, by their configurations' names and then as they stand there."""
    configurations = f"{kind}webhookconfigurations.{_GROUP}"
    concerned = _Concerned()
    cluster.observe(configurations, concerned)

    def ask(admission: Admission) -> None:
        if admission.resource.group == _GROUP:
            return
        for name in concerned.by(admission.resource):
            configuration = cluster.get(configurations, None, name)
            for webhook in configuration.get("webhooks") or ():
                if not _applies(cluster, webhook, admission):
                    continue
                try:
                    answer = _answering(cluster, webhook, services)
                except Unanswered as why:
                    if webhook.get("failurePolicy") == "Ignore":
                        continue
                    raise _failed(webhook, str(why)) from None
                answer(admission, webhook["name"])

    return ask


class _Concerned:
    """An observer of configurations: which of them have a rule that may be about a kind."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], set[str]] = {}
        """By group and plural; `*` for all, as rules have it."""

    def __call__(self, old: Object | None, new: Object | None) -> None:
        for configuration in (old, new):
            if configuration is None:
                continue
            name = configuration["metadata"]["name"]
            for webhook in configuration.get("webhooks") or ():
                for rule in webhook.get("rules") or ():
                    for key in itertools.product(rule.get("apiGroups") or (), rule.get("resources") or ()):
                        if configuration is new:
                            self._names.setdefault(key, set()).add(name)
                        else:
                            self._names.get(key, set()).discard(name)

    def by(self, resource: Resource) -> list[str]:
        """In order."""
        keys = itertools.product((resource.group, "*"), (resource.plural, "*", "*/*"))
        return sorted(set().union(*(self._names.get(key, ()) for key in keys)))


def denied(webhook: str, why: str) -> ApiError:
    return ApiError(400, "BadRequest", f'admission webhook "{webhook}" denied the request: {why}')


def _applies(cluster: Cluster, webhook: Object, admission: Admission) -> bool:
    return (
        any(_rule_matches(cluster, webhook, rule, admission) for rule in webhook.get("rules") or ())
        and _namespace_matches(cluster, webhook.get("namespaceSelector") or _NOTHING, admission)
        and any(
            matches(webhook.get("objectSelector") or _NOTHING, obj["metadata"].get("labels"))
            for obj in (admission.object, admission.old)
            if obj is not None
        )
    )


def _rule_matches(cluster: Cluster, webhook: Object, rule: Object, admission: Admission) -> bool:
    resource = admission.resource
    scope = "Namespaced" if resource.namespaced else "Cluster"
    return (
        _includes(rule.get("operations"), admission.operation)
        and _includes(rule.get("apiGroups"), resource.group)
        and (_includes(rule.get("resources"), resource.plural) or "*/*" in rule["resources"])
        and rule.get("scope", "*") in ("*", scope)
        and _version_matches(cluster, webhook, rule, resource)
    )


def _version_matches(cluster: Cluster, webhook: Object, rule: Object, resource: Resource) -> bool:
    """Equivalent, as opposed to Exact: a rule for another version of the kind gets the object in that one."""
    versions = rule.get("apiVersions")
    if _includes(versions, resource.version) or webhook.get("matchPolicy") == "Exact":
        return _includes(versions, resource.version)
    return any(_includes(versions, one.version) for one in cluster.resources() if one.key == resource.key)


def _includes(names: list[str] | None, name: str) -> bool:
    return names is not None and ("*" in names or name in names)


def _namespace_matches(cluster: Cluster, selector: Mapping[str, Any], admission: Admission) -> bool:
    """By the labels of the object's namespace; a namespace by its own; what is in none always."""
    if admission.resource.key == "namespaces":
        return matches(selector, admission.object["metadata"].get("labels"))
    if not admission.resource.namespaced:
        return True
    namespace = cluster.find("namespaces", None, admission.object["metadata"]["namespace"])
    return namespace is not None and matches(selector, namespace["metadata"].get("labels"))


def _answering(cluster: Cluster, webhook: Object, services: Services) -> Service:
    """Raises Unanswered."""
    if webhook.get("matchConditions"):
        raise Unanswered("matchConditions: not supported by the sandbox")
    reference = webhook["clientConfig"].get("service")
    if reference is None:
        raise _no_answer(webhook, "not supported by the sandbox: it asks webhooks of the services it knows only")
    namespace, name = reference["namespace"], reference["name"]
    service = cluster.find("services", namespace, name)
    if service is None:
        raise _no_answer(webhook, f'service "{name}" not found')
    number = reference.get("port", 443)
    port = next((one for one in service["spec"].get("ports") or () if one["port"] == number), None)
    if port is None:
        raise _no_answer(webhook, f'no service port {number} found for service "{name}"')
    slices = cluster.list("endpointslices.discovery.k8s.io", namespace, {"kubernetes.io/service-name": name})
    if not any(_has_ready_endpoint(one, port.get("name") or "") for one in slices):
        raise _no_answer(webhook, f'no endpoints available for service "{name}"')
    answer = services.get((namespace, name, reference.get("path", "/")))
    if answer is None:
        raise _no_answer(webhook, "not supported by the sandbox: nothing in it answers there")
    return answer


def _has_ready_endpoint(endpoint_slice: Object, port: str) -> bool:
    return any((one.get("name") or "") == port for one in endpoint_slice.get("ports") or ()) and any(
        (one.get("conditions") or {}).get("ready", True) for one in endpoint_slice.get("endpoints") or ()
    )


def _no_answer(webhook: Object, why: str) -> Unanswered:
    client = webhook["clientConfig"]
    url = client.get("url")
    if url is None:
        service = client["service"]
        host = f"{service['name']}.{service['namespace']}.svc:{service.get('port', 443)}"
        url = f"https://{host}/{service.get('path', '').lstrip('/')}"
    seconds = webhook.get("timeoutSeconds", 10)
    return Unanswered(f'failed to call webhook: Post "{url}?timeout={seconds}s": {why}')


def _failed(webhook: Object, why: str) -> ApiError:
    said = f'failed calling webhook "{webhook["name"]}": {why}'
    details = {"causes": [{"message": said}]}
    return ApiError(500, "InternalError", f"Internal error occurred: {said}", details)
