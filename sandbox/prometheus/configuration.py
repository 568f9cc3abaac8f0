"""The file `prometheus.yml`: which jobs there are, how often and how their targets are asked, who the targets are
(https://prometheus.io/docs/prometheus/latest/configuration/configuration/).

What the add-on of Istio's releases says is read: targets written down, and those that Kubernetes knows of, with
rules that relabel them. Its jobs that ask nodes and the API server, by HTTPS, are `left_out`, for the log. Any
other field is refused by its name; what is wrong is said in Prometheus' words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sandbox.prometheus.expressions import milliseconds
from sandbox.prometheus.relabeling import Rule, read_rule
from sandbox.prometheus.target_discovery import ROLES

INTERVAL, TIMEOUT = 60.0, 10.0
"""Seconds, where the file says nothing else."""

_TOP = ("global", "rule_files", "scrape_configs")
_GLOBAL = ("scrape_interval", "scrape_timeout", "evaluation_interval")
_JOB = (
    *("job_name", "honor_labels", "scrape_interval", "scrape_timeout", "metrics_path", "scheme", "params"),
    *("static_configs", "kubernetes_sd_configs", "relabel_configs", "bearer_token_file", "tls_config"),
)
_NEVER = ("bearer_token_file", "tls_config")
"""Of jobs that ask by HTTPS: there are none here."""
_ALL_ROLES = (*ROLES, "endpointslice", "ingress", "node")


class BadConfig(ValueError):
    """No configuration, or none for this Prometheus."""


@dataclass(frozen=True, slots=True)
class Job:
    """`written` are the targets that the file has, each as its labels. Durations are seconds."""

    name: str
    interval: float = INTERVAL
    timeout: float = TIMEOUT
    honor_labels: bool = False
    path: str = "/metrics"
    scheme: str = "http"
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    written: tuple[Mapping[str, str], ...] = ()
    roles: tuple[str, ...] = ()
    """As whom Kubernetes knows its targets."""
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    jobs: tuple[Job, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """By name, why."""


def read(text: str, rules_in: Callable[[str], str] = lambda file: "") -> Configuration:
    """`rules_in` gives what a file of rules has. Raises BadConfig."""
    try:
        # Prometheus reads `regex: true` as a text, which it is to be.
        said = yaml.load(text, yaml.BaseLoader) or {}  # noqa: S506 - it makes texts, lists and mappings only
        _only("", said, _TOP)
        default = _timing("global", said.get("global") or {})
        for file in said.get("rule_files") or ():
            if yaml.load(rules_in(file), yaml.BaseLoader):  # noqa: S506
                raise _unsupported(f"rule_files: the rules in {file}")
        jobs: dict[str, Job] = {}
        left_out: dict[str, str] = {}
        for written in said.get("scrape_configs") or ():
            name = written.get("job_name", "")
            if not name:
                raise BadConfig("job_name is empty")
            if name in jobs or name in left_out:
                raise BadConfig(f'found multiple scrape configs with job name "{name}"')
            jobs[name], why = _job(f"scrape_configs[{name}]", name, written, default)
            if why:
                left_out[name] = why
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise BadConfig(f"yaml: {error}") from None
    return Configuration(tuple(job for name, job in jobs.items() if name not in left_out), left_out)


def _job(path: str, name: str, written: Mapping[str, Any], default: tuple[float, float]) -> tuple[Job, str]:
    """And why it is left out, if it is."""
    _only(path, written, _JOB)
    interval, timeout = _timing(path, written, default)
    roles = [_role(f"{path}.kubernetes_sd_configs", one) for one in written.get("kubernetes_sd_configs") or ()]
    rules = []
    for number, rule in enumerate(written.get("relabel_configs") or ()):
        try:
            rules.append(read_rule(rule))
        except ValueError as error:
            raise BadConfig(f"{path}.relabel_configs[{number}]: {error}") from None
    others = sorted(set(roles).difference(ROLES))
    scheme = written.get("scheme", "http")
    secure = scheme != "http" or any(field in written for field in _NEVER)
    if secure and not roles:
        raise _unsupported(f"{path}: HTTPS")
    why = f"there is no discovery of role {', '.join(others)}" if others else "it asks by HTTPS" if secure else ""
    job = Job(
        name,
        interval,
        timeout,
        written.get("honor_labels", "false") == "true",
        written.get("metrics_path", "/metrics"),
        scheme,
        {key: tuple(values) for key, values in (written.get("params") or {}).items()},
        tuple(_written(f"{path}.static_configs", written.get("static_configs") or ())),
        tuple(dict.fromkeys(roles)),
        tuple(rules),
    )
    return job, why


def _role(path: str, written: Mapping[str, Any]) -> str:
    _only(path, written, ("role",))
    role = str(written.get("role", ""))
    if role not in _ALL_ROLES:
        raise BadConfig(f'unknown Kubernetes SD role "{role}"')
    return role


def _written(path: str, groups: Any) -> Iterator[Mapping[str, str]]:
    for group in groups:
        _only(path, group, ("targets", "labels"))
        for target in group.get("targets") or ():
            yield {**(group.get("labels") or {}), "__address__": target}


def _timing(
    path: str, written: Mapping[str, Any], default: tuple[float, float] = (INTERVAL, TIMEOUT)
) -> tuple[float, float]:
    """Interval and timeout; that of all jobs holds where it is not longer than the interval of this one."""
    if path == "global":
        _only(path, written, _GLOBAL)
    seconds = {name: _seconds(written[name]) for name in ("scrape_interval", "scrape_timeout") if name in written}
    interval = seconds.get("scrape_interval") or default[0]
    timeout = seconds.get("scrape_timeout") or min(default[1], interval)
    if timeout > interval:
        of = "" if path == "global" else f' for scrape config with job name "{written["job_name"]}"'
        raise BadConfig(f"{'global ' * (not of)}scrape timeout greater than scrape interval{of}")
    return interval, timeout


def _seconds(written: str) -> float:
    try:
        return milliseconds(written) / 1000
    except ValueError as error:
        raise BadConfig(f'not a valid duration string: "{written}": {error}') from None


def _only(path: str, written: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raises BadConfig for another field."""
    if not isinstance(written, dict):
        raise BadConfig(f"yaml: unmarshal errors: {path or 'the file'} is no mapping")
    for name in written:
        if name not in known:
            raise _unsupported(f"{path}.{name}".removeprefix("."))


def _unsupported(what: str) -> BadConfig:
    return BadConfig(f"{what}: not supported by the sandbox's Prometheus")
