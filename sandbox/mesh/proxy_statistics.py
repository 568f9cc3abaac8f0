"""Statistics of one proxy, out of those of the Envoy that all share: named and selected as a real sidecar does.

In Envoy every name of a proxy's own has the proxy's id in it (`cluster.POD.NAMESPACE/outbound|80||HOST;.…`); here
it is taken out again. A real Envoy is told at its start which statistics to keep at all: a few of Istio's choice,
and those that the pod's annotations name. Here that is decided when somebody looks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.mesh import proxy_settings

_TAGS = (
    ("cluster_name", r"^cluster(\.(.+);)"),
    ("http_conn_manager_prefix", r"^http\.((.+?);\.)"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    ("listener_address", r"^listener\.(([_.\d]*)\.)"),
)
"""What is shown as a label for Prometheus: from the name the first group is removed, the second is the value. As in
Istio's bootstrap (tools/packaging/common/envoy_bootstrap.json), of which these are the ones that can occur here."""

_BY_ANNOTATION = {
    "prefixes": ("sidecar.istio.io/statsInclusionPrefixes", "inclusionPrefixes"),
    "suffixes": ("sidecar.istio.io/statsInclusionSuffixes", "inclusionSuffixes"),
    "regexps": ("sidecar.istio.io/statsInclusionRegexps", "inclusionRegexps"),
}
ANNOTATIONS = (proxy_settings.ANNOTATION, *(annotation for annotation, _ in _BY_ANNOTATION.values()))

_ALWAYS = (
    "cluster_manager",
    "listener_manager",
    "server",
    "cluster.xds-grpc",
    "wasm",
    "reporter=",
    "component",
    "istio",
)
_ALWAYS_SUFFIXES = ("rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied")
_ALWAYS_REGEXP = r"vhost\..*\.route\..*"
_PROCESS = r"server\.(?:concurrency|live|state|uptime|version)|listener_manager\.workers_started"
"""Of the process that all proxies share, what is as true of each of them."""

_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
_SAMPLE = re.compile(r'([A-Za-z_:][\w:]*)\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\} (.*)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Identity = tuple[str, tuple[tuple[str, str], ...]]
"""A name for Prometheus and its labels."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Which statistics a proxy has, as its pod's annotations say, beyond those that all have."""

    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    regexps: tuple[re.Pattern[str], ...] = ()

    def has(self, name: str) -> bool:
        return (
            name.startswith(_ALWAYS + self.prefixes)
            or name.endswith(_ALWAYS_SUFFIXES + self.suffixes)
            or any(regexp.fullmatch(name) for regexp in (re.compile(_ALWAYS_REGEXP), *self.regexps))
        )


def inclusion(annotations: Mapping[str, str]) -> Inclusion:
    """What a pod's annotations ask for. An annotation of its own beats the same in `proxy.istio.io/config`.

    Raises ValueError with a path for what is wrong or not supported.
    """
    matcher = _matcher(proxy_settings.read(annotations))
    found: dict[str, list[str]] = {}
    for field, (annotation, in_matcher) in _BY_ANNOTATION.items():
        given = annotations.get(annotation)
        found[field] = given.split(",") if given else matcher.get(in_matcher) or []
    patterns = []
    for regexp in found["regexps"]:
        try:
            patterns.append(re.compile(regexp))
        except re.error as error:
            raise ValueError(
                f"{_BY_ANNOTATION['regexps'][0]}: {regexp!r} is not a regular expression: {error}"
            ) from error
    return Inclusion(tuple(found["prefixes"]), tuple(found["suffixes"]), tuple(patterns))


def _matcher(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """The `proxyStatsMatcher` of a ProxyConfig."""
    matcher = config.get(proxy_settings.STATISTICS) or {}
    where = f"{proxy_settings.ANNOTATION}: {proxy_settings.STATISTICS}"
    known = [field for _, field in _BY_ANNOTATION.values()]
    for field, values in matcher.items() if isinstance(matcher, dict) else [("", matcher)]:
        if field not in known:
            raise ValueError(f"{where}: unknown field {field!r}; it has {', '.join(known)}")
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"{where}.{field}: not a list of strings")
    return matcher


@dataclass(frozen=True, slots=True)
class View:
    """What one proxy's statistics are: of `proxy_id`, included, and (when given) found by `pattern`."""

    proxy_id: str
    inclusion: Inclusion
    pattern: re.Pattern[str] | None = None

    @property
    def envoy_filter(self) -> str:
        """For Envoy: all that can be this proxy's."""
        own = rf"(?:cluster|http|listener|tcp)\.{re.escape(self.proxy_id)}/"
        return f"^(?:{own}|(?:{_PROCESS})$)"

    def own_name(self, name: str) -> str:
        """Without the proxy's id, as a proxy with an Envoy of its own says it."""
        return name.replace(f"{self.proxy_id}/", "")

    def shows(self, own_name: str) -> bool:
        return self.inclusion.has(own_name) and (self.pattern is None or self.pattern.search(own_name) is not None)

    def text(self, answer: str) -> str:
        """Envoy's `name: value` lines."""
        found = []
        for line in answer.splitlines():
            name, colon, value = line.partition(": ")
            own = self.own_name(name)
            if colon and self.shows(own):
                found.append(f"{own}: {value}\n")
        return "".join(found)

    def json(self, answer: str) -> str:
        """Envoy's `{"stats": [...]}`; histograms are in there in one of several forms, each with its name."""
        stats = [self._pruned(stat) for stat in json.loads(answer)["stats"]]
        return json.dumps({"stats": [stat for stat in stats if stat is not None]}, separators=(",", ":"))

    def _pruned(self, value: Any) -> Any:
        """None for what is a statistic that this view does not show."""
        if isinstance(value, dict):
            if isinstance(value.get("name"), str):
                own = self.own_name(value["name"])
                return {**value, "name": own} if self.shows(own) else None
            return {key: self._pruned(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [one for one in map(self._pruned, value) if one is not None]
        return value

    def prometheus(self, answers: Iterable[tuple[str, Iterable[str]]]) -> str:
        """Envoy's expositions for Prometheus, each with the names that Envoy has for what is to be taken from it.

        Envoy makes no labels here, as looking for them costs time for every statistic that comes into being.
        """
        found: dict[str, list[str]] = {}
        for answer, names_ in answers:
            wanted = {_sanitized(name): _identity(own) for name in names_ if self.shows(own := self.own_name(name))}
            base = kind = ""
            for line in answer.splitlines():
                if typed := _TYPE.fullmatch(line):
                    base, kind = typed[1], typed[2]
                elif (sample := _SAMPLE.fullmatch(line)) and base in wanted:
                    shown, labels = wanted[base]
                    written = ",".join(f'{key}="{value}"' for key, value in (*labels, *_LABEL.findall(sample[2])))
                    lines = found.setdefault(shown, [f"# TYPE {shown} {kind}\n"])
                    lines.append(f"{shown}{sample[1][len(base) :]}{{{written}}} {sample[3]}\n")
        return "".join("".join(lines) for lines in found.values())


def told_apart(names_: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of Envoy's names that stay different for Prometheus, and those that do not, as it has letters, digits
    and underscores only: of services `a-b` in `c` and `a` in `b-c`."""
    by_shown: dict[str, list[str]] = {}
    for name in names_:
        by_shown.setdefault(_sanitized(name), []).append(name)
    alone = [same[0] for same in by_shown.values() if len(same) == 1]
    return alone, [name for same in by_shown.values() if len(same) > 1 for name in same]


def names(text: str) -> Iterator[str]:
    """Of Envoy's `name: value` lines."""
    for line in text.splitlines():
        name, colon, _ = line.partition(": ")
        if colon:
            yield name


def _sanitized(name: str) -> str:
    return "envoy_" + re.sub(r"\W", "_", name, flags=re.ASCII)


def _identity(name: str) -> Identity:
    """As Envoy does: every tag is looked for in the whole name, then what they removed is gone from it."""
    labels, removed = [], []
    for tag, pattern in _TAGS:
        if found := re.search(pattern, name):
            labels.append((tag, found[2]))
            removed.append(found.span(1))
    for start, end in sorted(removed, reverse=True):
        name = name[:start] + name[end:]
    return _sanitized(name), tuple(sorted(labels))
