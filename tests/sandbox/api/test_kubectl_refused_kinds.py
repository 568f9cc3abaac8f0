"""Kinds that every cluster has and the sandbox does nothing with, as kubectl meets them."""

from __future__ import annotations

from .inside import Inside

STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: mongo}]}
"""


def test_they_are_found_by_their_names_and_refused_by_the_sandbox(inside: Inside) -> None:
    for name in ("sts", "daemonset", "ing", "netpol", "pvc", "rc"):
        assert "No resources found" in inside.kubectl.run("get", "-n", inside.namespace, name).stderr
    for how in (["create"], ["apply"], ["apply", "--server-side"], ["apply", "--dry-run=server"]):
        told = inside.fails(*how, "-f", "-", stdin=STATEFUL_SET)
        assert 'statefulsets.apps "db" is forbidden: StatefulSet: not supported by the sandbox' in told, how
        assert "no matches for kind" not in told
    # A typed client sends protobuf, of which only the kind is known.
    told = inside.fails("create", "ingress", "entry", "--rule=example.com/*=web:80")
    assert "ingresses.networking.k8s.io is forbidden: Ingress: not supported by the sandbox" in told
    assert 'statefulsets.apps "db" not found' in inside.fails("delete", "sts", "db")
    assert "StatefulSet" in inside("explain", "statefulset")


def test_a_list_of_objects_says_which_one_it_is(inside: Inside) -> None:
    several = "\n---\n".join([STATEFUL_SET, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\n"])
    told = inside.fails("apply", "-f", "-", stdin=several)
    assert 'statefulsets.apps "db" is forbidden' in told
    assert inside.json("get", "configmap", "kept")["metadata"]["name"] == "kept"
