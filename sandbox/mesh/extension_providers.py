"""Where a mesh's ConfigMap says that spans go: `extensionProviders` of kind zipkin and opentelemetry.

What is wrong with one is said in istiod's words (pkg/config/validation/agent/extensionprovider.go); other kinds,
and fields that are not here, are refused by their paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.core.durations import duration

Kind = Literal["zipkin", "opentelemetry"]

_KINDS: Mapping[str, Kind] = {"zipkin": "zipkin", "opentelemetry": "opentelemetry"}
_FIELDS: Mapping[Kind, frozenset[str]] = {
    "zipkin": frozenset({"service", "port"}),
    "opentelemetry": frozenset({"service", "port", "http"}),
}
_HTTP_FIELDS = frozenset({"path", "timeout"})


@dataclass(frozen=True, slots=True)
class Provider:
    """Who takes spans: a service's host (perhaps `namespace/host`) and port."""

    name: str
    kind: Kind
    service: str
    port: int
    path: str = ""
    """Of OpenTelemetry over HTTP; without it, it is gRPC."""
    timeout: str = ""

    @property
    def host(self) -> str:
        return self.service.rpartition("/")[2]

    @property
    def namespace(self) -> str:
        """That the service has to be of, "" for any."""
        return self.service.rpartition("/")[0]


def providers(written: Any) -> tuple[Provider, ...]:
    """Of the list in a MeshConfig. Raises ValueError with the path of what is wrong or not supported."""
    if not isinstance(written, list):
        raise ValueError("extensionProviders: not a list")
    found: list[Provider] = []
    for index, one in enumerate(written):
        found.append(_provider(f"extensionProviders[{index}]", one, [known.name for known in found]))
    return tuple(found)


def _provider(path: str, written: Any, taken: list[str]) -> Provider:
    if not isinstance(written, dict):
        raise ValueError(f"{path}: not an object")
    kinds = [field for field in written if field != "name"]
    for field in kinds:
        if field not in _KINDS:
            raise ValueError(f"{path}.{field}: not supported by the sandbox (supported: {', '.join(_KINDS)})")
    name = written.get("name", "")
    if not isinstance(name, str):
        raise ValueError(f"{path}.name: {name!r} is not a text")
    problems = ["empty extension provider name"] if not name else []
    problems += [f"duplicate extension provider name {name}"] if name in taken else []
    if len(kinds) != 1:
        raise ValueError(f"invalid extension provider {name}: it has to have one of {', '.join(_KINDS)}")
    kind = _KINDS[kinds[0]]
    made = _of_kind(name, kind, f"{path}.{kind}", written[kind] or {})
    problems += _problems(made)
    if problems:
        raise ValueError("; ".join(f"invalid extension provider {name}: {problem}" for problem in problems))
    return made


def _of_kind(name: str, kind: Kind, path: str, said: Any) -> Provider:
    http = said.get("http") if isinstance(said, dict) else None
    for where, fields, known in ((path, said, _FIELDS[kind]), (f"{path}.http", http or {}, _HTTP_FIELDS)):
        if not isinstance(fields, dict):
            raise ValueError(f"{where}: not an object")
        for field in fields:
            if field not in known:
                raise ValueError(f"{where}.{field}: not supported by the sandbox")
    service, port = said.get("service", ""), said.get("port", 0)
    if not isinstance(service, str):
        raise ValueError(f"{path}.service: {service!r} is not a text")
    if not isinstance(port, int) or isinstance(port, bool):
        raise ValueError(f"{path}.port: {port!r} is not a number")
    if http is None:
        return Provider(name, kind, service, port)
    if not isinstance(http.get("path"), str) or not http["path"].startswith("/"):
        raise ValueError(f"{path}.http.path: it has to be there, and to begin with /")
    try:
        timeout = duration(http.get("timeout") or "10s")
    except ValueError as error:
        raise ValueError(f"{path}.http.timeout: {error}") from error
    return Provider(name, kind, service, port, http["path"], timeout)


def _problems(provider: Provider) -> Iterator[str]:
    port = [] if 1 <= provider.port <= 65535 else [f"port number {provider.port} must be in the range 1..65535"]
    service = list(_service(provider.service))
    if provider.kind == "zipkin":
        yield from (*service, *(f"invalid service port: {problem}" for problem in port))
    else:
        yield from (*port, *service)


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.IGNORECASE)


def _service(service: str) -> Iterator[str]:
    """A host's name (an address is one, too), perhaps behind its namespace."""
    if not service:
        yield "service must not be empty"
        return
    namespace, slash, host = service.partition("/")
    if not slash:
        if not _is_name(service):
            yield f"invalid service fmt {service}: {service} is not a valid IP"
    elif not namespace or not host:
        yield "config namespace and dnsName in host entry cannot be empty"
    else:
        if not _LABEL.fullmatch(namespace):
            yield f'invalid namespace value "{namespace}" in sidecar'
        if not _is_name(host):
            yield f'domain name "{host}" invalid'


def _is_name(text: str) -> bool:
    return all(_LABEL.fullmatch(label) for label in text.removesuffix(".").split("."))
