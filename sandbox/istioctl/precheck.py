"""`istioctl x precheck`: whether Istio can be installed here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.istioctl.errors import IssuesFound

if TYPE_CHECKING:
    from sandbox.istioctl.cli import Invocation

_OLDEST = (1, 31)
"""Kubernetes releases that Istio 1.31 supports begin here."""

_NEEDED = (
    ("", "namespaces"),
    ("", "services"),
    ("", "configmaps"),
    ("", "serviceaccounts"),
    ("apps", "deployments"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
)


def run(invocation: Invocation) -> int:
    client = invocation.client
    version = client.request("GET", "/version")
    problems = []
    release = (int(version["major"]), int(version["minor"].rstrip("+")))
    if release < _OLDEST:
        problems.append(f"Kubernetes {release[0]}.{release[1]} is older than {_OLDEST[0]}.{_OLDEST[1]}")
    for group, resource in _NEEDED:
        wanted = {"group": group, "resource": resource, "verb": "create", "namespace": invocation.istio_namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        answer = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        if not answer["status"]["allowed"]:
            problems.append(f"not allowed to create {resource}")
    if invocation.arguments.text("output") == "json":
        print(json.dumps([{"level": "Error", "message": problem} for problem in problems]))
    elif not problems:
        print("✔ No issues found when checking the cluster. Istio is safe to install or upgrade!")
    for problem in problems:
        print(f"Error: {problem}")
    if problems:
        raise IssuesFound("issues found when checking the cluster")
    return 0
