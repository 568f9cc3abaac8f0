"""A rule's matches as Envoy's: those that are about the request. What is about the proxy is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.mesh.destinations import Context
from sandbox.mesh.virtual_services import qualified

EVERYTHING = {"prefix": "/"}
_PSEUDO_HEADERS = (("method", ":method"), ("authority", ":authority"), ("scheme", ":scheme"))


def applies(match: Mapping[str, Any], context: Context, namespace: str) -> bool:
    """Whether a rule's match in `namespace` can be about requests of this proxy, port and gateway at all.

    Istio asks for the proxy's labels and namespace only where a match names no gateways.
    """
    if (match.get("port") or context.port) != context.port:
        return False
    if match.get("gateways"):
        return context.gateway in (qualified(name, namespace) for name in match["gateways"])
    labels = match.get("sourceLabels") or {}
    source = match.get("sourceNamespace") or context.proxy.namespace
    return labels.items() <= context.proxy.labels.items() and source == context.proxy.namespace


def takes_everything(match: Mapping[str, Any]) -> bool:
    """Whether a match of Envoy's leaves no request for the routes behind it."""
    everything = match.get("prefix") == "/" or match.get("safe_regex") == {"regex": ".*"}
    return everything and "headers" not in match and "query_parameters" not in match


def translated(match: Mapping[str, Any]) -> dict[str, Any]:
    """What a request must look like, in Envoy's words."""
    uri = match.get("uri") or {}
    if "exact" in uri:
        made: dict[str, Any] = {"path": uri["exact"]}
    elif "regex" in uri:
        made = {"safe_regex": {"regex": uri["regex"]}}
    else:
        made = {"prefix": uri.get("prefix", "/")}
    if match.get("ignoreUriCase") and "regex" not in uri:
        made["case_sensitive"] = False
    headers = [_named(name, value) for name, value in (match.get("headers") or {}).items()]
    headers += [_without(name, value) for name, value in (match.get("withoutHeaders") or {}).items()]
    headers += [_named(header, match[field]) for field, header in _PSEUDO_HEADERS if match.get(field)]
    if headers:
        made["headers"] = headers
    if match.get("queryParams"):
        made["query_parameters"] = [_named(name, value) for name, value in match["queryParams"].items()]
    return made


def _named(name: str, value: Mapping[str, str]) -> dict[str, Any]:
    """A header or a parameter; `*` for a regular expression means, as no value does, that it is there."""
    if not value or value.get("regex") == "*":
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": string(value)}


def _without(name: str, value: Mapping[str, str] | None) -> dict[str, Any]:
    made = {**_named(name, value or {}), "invert_match": True}
    if "string_match" in made:
        made["treat_missing_header_as_empty"] = True
    return made


def string(value: Mapping[str, str]) -> dict[str, Any]:
    """Istio's StringMatch as Envoy's StringMatcher."""
    if "regex" in value:
        return {"safe_regex": {"regex": value["regex"]}}
    return {kind: text for kind, text in value.items() if kind in ("exact", "prefix")}
