"""The annotation `proxy.istio.io/config`: a ProxyConfig of the pod's own, and what of it the sandbox does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.mesh.envoy import WORKER_THREADS

ANNOTATION = "proxy.istio.io/config"
STATISTICS = "proxyStatsMatcher"


def read(annotations: Mapping[str, str]) -> Mapping[str, Any]:
    """What a pod's annotations say there, empty when they do not.

    `concurrency` is how many worker threads the proxy runs, and the sandbox's all run the same number. Raises
    ValueError with a path for what is wrong or not supported.
    """
    text = annotations.get(ANNOTATION, "")
    if not text.strip():
        return {}
    import yaml

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{ANNOTATION}: not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{ANNOTATION}: not a ProxyConfig")
    for field, value in config.items():
        if field == "concurrency":
            _check_threads(value)
        elif field != STATISTICS:
            raise ValueError(f"{ANNOTATION}: {field}: not supported by the sandbox")
    return config


def _check_threads(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{ANNOTATION}: concurrency: {value!r} is not a whole number")
    if value != WORKER_THREADS:
        why = f"not supported by the sandbox, whose proxies run {WORKER_THREADS} worker thread"
        raise ValueError(f"{ANNOTATION}: concurrency: {value}: {why}")
