"""Webhooks that are asked, those that are not, and what is said of one that nobody answers for.

The words are those of Kubernetes' API server (apiserver/pkg/util/proxy, admission/plugin/webhook); the webhook is
one of shared/real/objects/webhooks.yaml.
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.api import admission_webhooks as webhooks
from sandbox.api.local_cluster import LocalCluster
from sandbox.core.cluster import Admission, ApiError, Object

CONFIGURATIONS = "validatingwebhookconfigurations.admissionregistration.k8s.io"
SLICES = "endpointslices.discovery.k8s.io"
CALL = 'failed to call webhook: Post "https://istiod.istio-system.svc:443/validate?timeout=10s"'


class Place(LocalCluster):
    """A cluster with one webhook, for ConfigMaps. `asked` are the objects it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.validation.append(
            webhooks.hook(self, "validating", {("istio-system", "istiod", "/validate"): self.answer})
        )
        for name, labels in (("shop", {"kind": "shop"}), ("istio-system", {})):
            self.create("namespaces", {"metadata": {"name": name, "labels": labels}}, manager="test")

    def answer(self, admission: Admission, webhook: str) -> None:
        self.asked.append(admission.object["metadata"]["name"])
        if admission.object["metadata"]["name"] == "bad":
            raise webhooks.denied(webhook, "configuration is invalid: it is bad")

    def webhook(self, *, rule: Object | None = None, **changes: Any) -> None:
        service = {"name": "istiod", "namespace": "istio-system", "path": "/validate", "port": 443}
        rules = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        whole = {
            "name": "validation.istio.io",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": service},
            "rules": [{**rules, **(rule or {})}],
            "sideEffects": "None",
            **changes,
        }
        self.create(CONFIGURATIONS, {"metadata": {"name": "w"}, "webhooks": [whole]}, manager="test")

    def service(self, port: int = 443) -> None:
        spec = {"ports": [{"name": "https", "port": port}]}
        metadata = {"name": "istiod", "namespace": "istio-system"}
        self.create("services", {"metadata": metadata, "spec": spec}, manager="test")

    def endpoint(self, *, ready: bool = True, port: str = "https") -> None:
        piece = {
            "metadata": {
                "name": "istiod-1",
                "namespace": "istio-system",
                "labels": {"kubernetes.io/service-name": "istiod"},
            },
            "addressType": "IPv4",
            "ports": [{"name": port, "port": 15017}],
            "endpoints": [{"addresses": ["127.0.0.2"], "conditions": {"ready": ready}}],
        }
        self.create(SLICES, piece, manager="test")

    def write(self, name: str = "one", **metadata: Any) -> str:
        """What is said of a new ConfigMap, "" when it was taken."""
        obj = {"metadata": {"name": name, "namespace": "shop", **metadata}}
        try:
            self.create("configmaps", obj, manager="test")
        except ApiError as error:
            return f"{error.code} {error.message}"
        return ""


@pytest.fixture
def place() -> Place:
    return Place()


def test_one_that_answers_admits_or_denies(place: Place) -> None:
    place.webhook()
    place.service()
    place.endpoint()
    assert place.write("good") == ""
    assert place.write("bad") == (
        '400 admission webhook "validation.istio.io" denied the request: configuration is invalid: it is bad'
    )
    assert place.asked == ["good", "bad"]


def test_without_its_service(place: Place) -> None:
    place.webhook()
    said = f'500 Internal error occurred: failed calling webhook "validation.istio.io": {CALL}: '
    assert place.write() == said + 'service "istiod" not found'
    place.service()
    assert place.write() == said + 'no endpoints available for service "istiod"'
    place.endpoint(ready=False)
    assert place.write() == said + 'no endpoints available for service "istiod"'


def test_a_service_without_that_port(place: Place) -> None:
    place.webhook()
    place.service(port=15014)
    assert place.write().endswith('no service port 443 found for service "istiod"')


def test_the_policy_ignore_lets_the_write_through(place: Place) -> None:
    place.webhook(failurePolicy="Ignore")
    assert place.write() == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"clientConfig": {"url": "https://elsewhere.example/ask"}},
            'Post "https://elsewhere.example/ask?timeout=10s": not supported by the sandbox',
        ),
        ({"timeoutSeconds": 3, "clientConfig": {"url": "https://a.example"}}, "https://a.example?timeout=3s"),
        (
            {"clientConfig": {"service": {"name": "istiod", "namespace": "istio-system", "path": "/other"}}},
            'Post "https://istiod.istio-system.svc:443/other?timeout=10s": not supported by the sandbox',
        ),
        (
            {"matchConditions": [{"name": "a", "expression": "true"}]},
            'failed calling webhook "validation.istio.io": matchConditions: not supported by the sandbox',
        ),
    ],
)
def test_what_the_sandbox_cannot_ask_is_named(place: Place, changes: dict[str, Any], said: str) -> None:
    place.service()
    place.endpoint()
    place.webhook(**changes)
    assert said in place.write()
    assert place.find("configmaps", "shop", "one") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": {"operations": ["UPDATE", "DELETE"]}},
        {"rule": {"apiGroups": ["apps"]}},
        {"rule": {"apiVersions": ["v2"]}},
        {"rule": {"resources": ["pods", "configmaps/status"]}},
        {"rule": {"scope": "Cluster"}},
        {"namespaceSelector": {"matchLabels": {"kind": "other"}}},
        {"namespaceSelector": {"matchExpressions": [{"key": "kind", "operator": "DoesNotExist"}]}},
        {"objectSelector": {"matchLabels": {"ask": "yes"}}},
    ],
)
def test_who_is_not_asked(place: Place, changes: dict[str, Any]) -> None:
    place.webhook(**changes)
    assert place.write() == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": "*"}},
        {"rule": {"resources": ["*/*"], "scope": "Namespaced"}},
        {"namespaceSelector": {"matchLabels": {"kind": "shop"}}},
        {"objectSelector": {"matchExpressions": [{"key": "ask", "operator": "NotIn", "values": ["no"]}]}},
    ],
)
def test_who_is_asked(place: Place, changes: dict[str, Any]) -> None:
    place.webhook(**changes)
    assert "failed calling webhook" in place.write()


def test_configurations_of_webhooks_are_never_asked_about(place: Place) -> None:
    """Or nobody could take away one that fails."""
    every = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    place.webhook(rule=every)
    assert place.delete(CONFIGURATIONS, None, "w")
    assert place.write() == ""


def test_who_is_asked_follows_the_configuration(place: Place) -> None:
    place.webhook(rule={"resources": ["secrets"]})
    place.service()
    place.endpoint()

    def about(resource: str) -> None:
        def change(configuration: Object) -> None:
            configuration["webhooks"][0]["rules"][0]["resources"] = [resource]

        place.edit(CONFIGURATIONS, None, "w", change, manager="test")

    assert place.write("early") == ""
    about("configmaps")
    assert place.write("asked") == ""
    about("secrets")
    assert place.write("late") == ""
    about("*/*")
    assert place.write("all") == ""
    place.delete(CONFIGURATIONS, None, "w")
    assert place.write("bad") == ""
    assert place.asked == ["asked", "all"]
