"""Default values, as Kubernetes fills them in on every write before it validates.

`default` walks an object along its type and stops at the parts that have a rule: either a table entry (a
value for a field left out) or a function for what depends on other fields. Whatever a client reads back,
diffs or applies again must look the same as on a real cluster, so the rules cover all fields of the served
kinds that get one; addresses and ports the cluster assigns are the controllers' business.

The figures are Kubernetes' own (pkg/apis/*/v1/defaults.go). A function runs before the table's values of the same
type; "" counts as left out, as it does in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sandbox.core.cluster import Object
from sandbox.core.objects import clone
from sandbox.schema import types
from sandbox.schema.types import LIST, MAP, OBJECT, Type


def default(kind: Type, obj: Object) -> None:
    """Fill in, in place, what `obj` leaves out. Doing it again changes nothing."""
    if kind.schema is not None:
        _default_custom(obj, kind)
    else:
        _default_built_in(obj, kind)


@cache
def _fields(kind: Type) -> dict[str, Type]:
    """The fields in which something has a default."""
    return types.leading_to(kind, lambda one: types.short_name(one.name) in {**_FUNCTIONS, **_VALUES})


def _default_built_in(value: Any, kind: Type) -> None:
    if kind.form == OBJECT:
        if not isinstance(value, dict):
            return
        name = types.short_name(kind.name)
        if function := _FUNCTIONS.get(name):
            function(value)
        for key, wanted in _VALUES.get(name, {}).items():
            if value.get(key) in (None, ""):
                value[key] = clone(wanted)
        for key, inner in _fields(kind).items():
            if key in value:
                _default_built_in(value[key], inner)
    elif kind.form == LIST and kind.element is not None and isinstance(value, list):
        for item in value:
            _default_built_in(item, kind.element)
    elif kind.form == MAP and kind.element is not None and isinstance(value, dict):
        for item in value.values():
            _default_built_in(item, kind.element)


def _default_custom(value: Any, kind: Type) -> None:
    """Defaults of a CRD's schema: a field left out, or null where null is not allowed, gets its default."""
    if isinstance(value, dict):
        for key, field in kind.fields.items():
            wanted, schema = field.default, field.type.schema
            if wanted is not None and (
                key not in value or (value[key] is None and not (schema and schema.get("nullable")))
            ):
                value[key] = clone(wanted)
            if key in value:
                _default_custom(value[key], field.type)
        if kind.element is not None:
            for key, item in value.items():
                if key not in kind.fields:
                    _default_custom(item, kind.element)
    elif isinstance(value, list) and kind.element is not None:
        for item in value:
            _default_custom(item, kind.element)


# The rules, by type (`types.short_name`)

_FILE_MODE = 0o644
_RBAC = "rbac.authorization.k8s.io"
_CONTAINER = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
_WEBHOOK = {
    "failurePolicy": "Fail",
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "timeoutSeconds": 10,
}

_VALUES: dict[str, dict[str, Any]] = {
    "admissionregistration.v1.MutatingWebhook": {**_WEBHOOK, "reinvocationPolicy": "Never"},
    "admissionregistration.v1.RuleWithOperations": {"scope": "*"},
    "admissionregistration.v1.ServiceReference": {"port": 443},
    "admissionregistration.v1.ValidatingWebhook": _WEBHOOK,
    "apiextensions.v1.CustomResourceConversion": {"strategy": "None"},
    "apiextensions.v1.CustomResourceDefinitionSpec": {"conversion": {"strategy": "None"}},
    "apiextensions.v1.ServiceReference": {"port": 443},
    "apps.v1.Deployment": {"status": {}},
    "apps.v1.DeploymentSpec": {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate"},
    },
    "apps.v1.ReplicaSet": {"status": {"replicas": 0}},
    "apps.v1.ReplicaSetSpec": {"replicas": 1},
    "apps.v1.RollingUpdateDeployment": {"maxUnavailable": "25%", "maxSurge": "25%"},
    "autoscaling.v2.HorizontalPodAutoscalerSpec": {"minReplicas": 1},
    "batch.v1.CronJobSpec": {
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    },
    "core.v1.Container": _CONTAINER,
    "core.v1.ContainerPort": {"protocol": "TCP"},
    "core.v1.ConfigMapVolumeSource": {"defaultMode": _FILE_MODE},
    "core.v1.DownwardAPIVolumeSource": {"defaultMode": _FILE_MODE},
    "core.v1.EndpointPort": {"protocol": "TCP"},
    "core.v1.EphemeralContainer": _CONTAINER,
    "core.v1.HTTPGetAction": {"path": "/", "scheme": "HTTP"},
    "core.v1.ObjectFieldSelector": {"apiVersion": "v1"},
    "core.v1.PodSpec": {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    },
    "core.v1.ProjectedVolumeSource": {"defaultMode": _FILE_MODE},
    "core.v1.Secret": {"type": "Opaque"},
    "core.v1.SecretVolumeSource": {"defaultMode": _FILE_MODE},
    "core.v1.Service": {"status": {"loadBalancer": {}}},
    "core.v1.ServiceAccountTokenProjection": {"expirationSeconds": 3600},
    "core.v1.ServicePort": {"protocol": "TCP"},
    "core.v1.ServiceSpec": {"sessionAffinity": "None", "type": "ClusterIP"},
    "discovery.v1.EndpointPort": {"name": "", "protocol": "TCP"},
    "rbac.v1.RoleRef": {"apiGroup": _RBAC},
}


def _deployment_strategy(strategy: Object) -> None:
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy["rollingUpdate"] = strategy.get("rollingUpdate") or {}


def _deployment_spec(spec: Object) -> None:
    # Before the walk goes on into it, so that its own defaults follow.
    spec["strategy"] = spec.get("strategy") or {}


def _replica_set(obj: Object) -> None:
    """Labels left out are the pod template's."""
    template = (obj.get("spec") or {}).get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    metadata = obj.setdefault("metadata", {})
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def _job(obj: Object) -> None:
    """Not of a CronJob's template: what the Job leaves out is filled in when it is made."""
    spec = obj.get("spec")
    if spec is None:
        return
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    for field, value in (("parallelism", 1), ("backoffLimit", 6), ("suspend", False), ("manualSelector", False)):
        if spec.get(field) is None:
            spec[field] = value
    spec["completionMode"] = spec.get("completionMode") or "NonIndexed"
    spec["podReplacementPolicy"] = spec.get("podReplacementPolicy") or "TerminatingOrFailed"
    _replica_set(obj)


def _node_status(status: Object) -> None:
    if "capacity" in status and "allocatable" not in status:
        status["allocatable"] = dict(status["capacity"])


def pull_policy(image: Any) -> str:
    """Always for the tag `latest` (which is also the tag left out), IfNotPresent for others and digests."""
    reference, _, digest = str(image or "").partition("@")
    tag = reference.rpartition("/")[2].partition(":")[2]
    return "Always" if tag == "latest" or not (tag or digest) else "IfNotPresent"


def _container(container: Object) -> None:
    container["imagePullPolicy"] = container.get("imagePullPolicy") or pull_policy(container.get("image"))


def _probe(probe: Object) -> None:
    for key, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe[key] = probe.get(key) or value  # 0 counts as left out


def _pod_spec(spec: Object) -> None:
    # The old name of the same field is kept up in both directions.
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _volume(volume: Object) -> None:
    if not any(value is not None for key, value in volume.items() if key != "name"):
        volume["emptyDir"] = {}


def _pod(obj: Object) -> None:
    spec = obj.get("spec")
    if spec is None:
        return
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        resources = container.get("resources") or {}
        if limits := resources.get("limits"):
            resources["requests"] = {**limits, **(resources.get("requests") or {})}
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for container in spec.get("containers") or ():
            for port in container.get("ports") or ():
                port["hostPort"] = port.get("hostPort") or port.get("containerPort")
    spec["serviceAccountName"] = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"


_REACHABLE = ("NodePort", "LoadBalancer")


def _service_spec(spec: Object) -> None:
    kind = spec["type"] = spec.get("type") or "ClusterIP"
    if spec.get("sessionAffinity") == "ClientIP":
        config = spec["sessionAffinityConfig"] = spec.get("sessionAffinityConfig") or {}
        client = config["clientIP"] = config.get("clientIP") or {}
        client.setdefault("timeoutSeconds", 10800)
    else:
        spec.pop("sessionAffinityConfig", None)
    for port in spec.get("ports") or ():
        if port.get("targetPort") in (None, "", 0) and "port" in port:
            port["targetPort"] = port["port"]
    if (kind in _REACHABLE or spec.get("externalIPs")) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if kind != "ExternalName" and spec.get("internalTrafficPolicy") is None:
        spec["internalTrafficPolicy"] = "Cluster"
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True


def _load_balancer_ingress(ingress: Object) -> None:
    if ingress.get("ip") and not ingress.get("ipMode"):
        ingress["ipMode"] = "VIP"


def _subject(subject: Object) -> None:
    if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
        subject["apiGroup"] = _RBAC


def _autoscaler(spec: Object) -> None:
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
        pods = {"type": "Pods", "value": 4, "periodSeconds": 15}
        up = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [pods, percent]}
        down = {"selectPolicy": "Max", "policies": [percent]}
        behavior["scaleUp"] = {**up, **(behavior.get("scaleUp") or {})}
        behavior["scaleDown"] = {**down, **(behavior.get("scaleDown") or {})}


def _crd_names(names: Object) -> None:
    kind = str(names.get("kind", ""))
    names["singular"] = names.get("singular") or kind.lower()
    names["listKind"] = names.get("listKind") or kind + "List"


_FUNCTIONS: dict[str, Callable[[Object], None]] = {
    "apiextensions.v1.CustomResourceDefinitionNames": _crd_names,
    "apps.v1.DeploymentSpec": _deployment_spec,
    "apps.v1.DeploymentStrategy": _deployment_strategy,
    "apps.v1.ReplicaSet": _replica_set,
    "autoscaling.v2.HorizontalPodAutoscalerSpec": _autoscaler,
    "batch.v1.Job": _job,
    "core.v1.Container": _container,
    "core.v1.EphemeralContainer": _container,
    "core.v1.LoadBalancerIngress": _load_balancer_ingress,
    "core.v1.NodeStatus": _node_status,
    "core.v1.Pod": _pod,
    "core.v1.PodSpec": _pod_spec,
    "core.v1.Probe": _probe,
    "core.v1.ServiceSpec": _service_spec,
    "core.v1.Volume": _volume,
    "rbac.v1.Subject": _subject,
}
