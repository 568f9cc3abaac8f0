"""Annotations that change what proxies do: which Istio knows, and what of them the sandbox does.

Those that only the real one would act on are refused, as nothing may be ignored that changes a proxy: a pod's when
it is to get a sidecar, others' when they are written. A name that the real one does not know either is a note of
somebody's, and left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.core.cluster import Admission, ApiError
from sandbox.mesh import sidecar_annotations
from sandbox.mesh.istio import PROXY_THREADS

_EXPORT_TO = "networking.istio.io/exportTo"
_TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"
_OF_SERVICES = {
    "services": (_EXPORT_TO, _TRAFFIC_DISTRIBUTION),
    "namespaces": (_TRAFFIC_DISTRIBUTION,),
    "serviceentries.networking.istio.io": (_TRAFFIC_DISTRIBUTION,),
}


def unsupported(annotations: Mapping[str, str]) -> str:
    """Why a pod with these cannot have a sidecar, empty when it can."""
    if found := sidecar_annotations.problem(annotations):
        return found
    try:
        stats_inclusion(annotations)
    except ValueError as error:
        return f"invalid value for annotation {error}"
    return ""


def require_support(admission: Admission) -> None:
    """A validation hook. Raises ApiError Forbidden for what would decide who is sent where.

    A service that is exported to everybody is what every service is. To others it would be an address that nobody
    listens at: here istiod's knowledge of services is also what stands for kube-proxy.
    """
    if admission.operation == "DELETE":
        return
    metadata = admission.object["metadata"]
    annotations = metadata.get("annotations") or {}
    for name in _OF_SERVICES.get(admission.resource.key, ()):
        value = annotations.get(name, "")
        if value and not (name == _EXPORT_TO and "*" in (part.strip() for part in value.split(","))):
            refused = f"metadata.annotations[{name}]: {value}: not supported by the sandbox"
            message = f'{admission.resource.key} "{metadata["name"]}" is forbidden: {refused}'
            raise ApiError(403, "Forbidden", message)


# What a pod's annotations say of its proxy's statistics and worker threads

_PROXY_CONFIG = "proxy.istio.io/config"
_STATS_MATCHER = "proxyStatsMatcher"
_HOLD = "holdApplicationUntilProxyStarts"
"""A native sidecar has started before the application does, whatever this says."""

_MOST_THREADS = 64

_STATS_INCLUSION = {
    "inclusionPrefixes": "sidecar.istio.io/statsInclusionPrefixes",
    "inclusionSuffixes": "sidecar.istio.io/statsInclusionSuffixes",
    "inclusionRegexps": "sidecar.istio.io/statsInclusionRegexps",
}
"""Fields of a `proxyStatsMatcher`, and the annotations that say the same."""

_ALWAYS = (
    *("cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm", "reporter=", "component"),
    "istio",
)
POLICY_SUFFIXES = ("rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied")
"""Of what AuthorizationPolicies have decided."""
_ALWAYS_REGEXP = re.compile(r"vhost\..*\.route\..*")


@dataclass(frozen=True, slots=True)
class StatsInclusion:
    """Which statistics a proxy has, as its pod's annotations say, beyond those that all have."""

    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    regexps: tuple[re.Pattern[str], ...] = ()

    def includes(self, name: str) -> bool:
        return (
            name.startswith(_ALWAYS + self.prefixes)
            or name.endswith(POLICY_SUFFIXES + self.suffixes)
            or any(regexp.fullmatch(name) for regexp in (_ALWAYS_REGEXP, *self.regexps))
        )

    @property
    def matcher(self) -> dict[str, Any]:
        """As pilot-agent writes it into a bootstrap."""
        patterns = [
            *({"prefix": prefix} for prefix in (*self.prefixes, *_ALWAYS)),
            *({"suffix": suffix} for suffix in (*self.suffixes, *POLICY_SUFFIXES)),
            *({"safe_regex": {"regex": regexp.pattern}} for regexp in (*self.regexps, _ALWAYS_REGEXP)),
        ]
        return {"inclusion_list": {"patterns": patterns}}


def stats_inclusion(annotations: Mapping[str, str]) -> StatsInclusion:
    """What a pod's annotations ask for. An annotation of its own beats the same in `proxy.istio.io/config`.

    Raises ValueError with a path for what is wrong or not supported.
    """
    matcher = _stats_matcher(_proxy_config(annotations))
    prefixes, suffixes, regexps = (
        annotations[annotation].split(",") if annotations.get(annotation) else matcher.get(field) or []
        for field, annotation in _STATS_INCLUSION.items()
    )
    patterns = []
    for regexp in regexps:
        try:
            patterns.append(re.compile(regexp))
        except re.error as error:
            annotation = _STATS_INCLUSION["inclusionRegexps"]
            raise ValueError(f"{annotation}: {regexp!r} is not a regular expression: {error}") from error
    return StatsInclusion(tuple(prefixes), tuple(suffixes), tuple(patterns))


def proxy_config_as_json(annotations: Mapping[str, str]) -> str:
    """What of the ProxyConfig is not as it is by default, as the injector tells the agent."""
    config = {field: value for field, value in _proxy_config(annotations).items() if value is not None}
    fields = ("concurrency", _STATS_MATCHER, _HOLD)
    return json.dumps({field: config[field] for field in fields if field in config}, separators=(",", ":"))


def threads(annotations: Mapping[str, str]) -> int:
    """How many worker threads a pod's proxy runs. Raises ValueError with a path for what is wrong."""
    asked = _proxy_config(annotations).get("concurrency")
    return asked or PROXY_THREADS


def _stats_matcher(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """The `proxyStatsMatcher` of a ProxyConfig."""
    matcher = config.get(_STATS_MATCHER) or {}
    where = f"{_PROXY_CONFIG}: {_STATS_MATCHER}"
    for field, values in matcher.items() if isinstance(matcher, dict) else [("", matcher)]:
        if field not in _STATS_INCLUSION:
            raise ValueError(f"{where}: unknown field {field!r}; it has {', '.join(_STATS_INCLUSION)}")
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"{where}.{field}: not a list of strings")
    return matcher


def _proxy_config(annotations: Mapping[str, str]) -> Mapping[str, Any]:
    """The ProxyConfig of the pod's own, empty when there is none."""
    text = annotations.get(_PROXY_CONFIG, "")
    if not text.strip():
        return {}
    import yaml  # a tenth of what `istioctl analyze` takes, which asks for no annotation

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{_PROXY_CONFIG}: not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{_PROXY_CONFIG}: not a ProxyConfig")
    for field, value in config.items():
        if field == "concurrency" and value is not None:
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{_PROXY_CONFIG}: concurrency: {value!r} is not a whole number")
            if not 0 <= value <= _MOST_THREADS:
                raise ValueError(f"{_PROXY_CONFIG}: concurrency: {value}: not one of 0 to {_MOST_THREADS}")
        elif field == _HOLD:
            if not isinstance(value, bool):
                raise ValueError(f"{_PROXY_CONFIG}: {_HOLD}: {value!r} is not true or false")
        elif field not in ("concurrency", _STATS_MATCHER):
            raise ValueError(f"{_PROXY_CONFIG}: {field}: not supported by the sandbox")
    return config
