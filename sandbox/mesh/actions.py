"""What becomes of a request besides where it goes: time limit and retries, rewrites, redirects, direct answers."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from sandbox.mesh.destinations import Context
from sandbox.mesh.durations import duration
from sandbox.mesh.xds.protobuf import TYPE_PREFIX

REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}

_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled"
"""Istio's since 1.24, which tries a 503 of an application no more: the application may have acted on it."""
_DEFAULT_ATTEMPTS = 2
_OTHER_HOSTS = [
    {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": f"{TYPE_PREFIX}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        },
    }
]
_DEFAULT_PORTS = {"http": 80, "https": 443}


def forwarding(http: Mapping[str, Any], *, hashed: bool = False) -> dict[str, Any]:
    """How to forward: no time limit and two more attempts, unless the rule says otherwise.

    `hashed` is whether the destination is chosen by a property of the request: the same one is tried again then.
    """
    action: dict[str, Any] = {"timeout": duration(http.get("timeout") or "0s")}
    policy = retry_policy(http.get("retries"), hashed=hashed)
    return {**action, "retry_policy": policy} if policy else action


def retry_policy(retries: Mapping[str, Any] | None, *, hashed: bool = False) -> dict[str, Any]:
    """Envoy's retries; empty for none. A policy that says no number has none."""
    if retries is None:
        retries = {"attempts": _DEFAULT_ATTEMPTS}
    if not retries.get("attempts"):
        return {}
    policy: dict[str, Any] = {
        "num_retries": retries["attempts"],
        "host_selection_retry_max_attempts": 5,
        **_retry_on(retries.get("retryOn") or _RETRY_ON),
    }
    if "perTryTimeout" in retries:
        policy["per_try_timeout"] = duration(retries["perTryTimeout"])
    if "backoff" in retries:
        policy["retry_back_off"] = {"base_interval": duration(retries["backoff"])}
    ignore_previous = retries.get("retryIgnorePreviousHosts")
    if not hashed if ignore_previous is None else ignore_previous:
        policy["retry_host_predicate"] = _OTHER_HOSTS
    return policy


def _retry_on(conditions: str) -> dict[str, Any]:
    """Numbers among the conditions are status codes, which Envoy has apart."""
    parts = [part.strip() for part in conditions.split(",") if part.strip()]
    codes = [int(part) for part in parts if part in _STATUS_CODES]
    if not codes:
        return {"retry_on": ",".join(parts)}
    named = [part for part in parts if part not in _STATUS_CODES]
    if "retriable-status-codes" not in named:
        named.append("retriable-status-codes")
    return {"retry_on": ",".join(named), "retriable_status_codes": codes}


_STATUS_CODES = frozenset(str(status.value) for status in HTTPStatus)


def rewrite(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Of the path: as much of it as the rule's match was about."""
    if "uriRegexRewrite" in wanted:
        by_regex = wanted["uriRegexRewrite"]
        substitution = by_regex.get("rewrite", "")
        return {"regex_rewrite": {"pattern": {"regex": by_regex["match"]}, "substitution": substitution}}
    return {"prefix_rewrite": wanted["uri"]} if wanted.get("uri") else {}


def redirect(wanted: Mapping[str, Any], context: Context) -> dict[str, Any]:
    names = {
        "uri": "path_redirect",
        "prefixRewrite": "prefix_rewrite",
        "authority": "host_redirect",
        "scheme": "scheme_redirect",
    }
    action = {there: wanted[here] for here, there in names.items() if wanted.get(here)}
    port = context.port if wanted.get("derivePort") == "FROM_REQUEST_PORT" else wanted.get("port", 0)
    scheme = wanted.get("scheme") or ("https" if context.tls else "http")
    if port and port != _DEFAULT_PORTS[scheme]:
        action["port_redirect"] = port
    action["response_code"] = REDIRECT_CODES[wanted.get("redirectCode") or 301]
    return action


def direct_response(response: Mapping[str, Any]) -> dict[str, Any]:
    body = response.get("body") or {}
    action: dict[str, Any] = {"status": response["status"]}
    if "string" in body:
        action["body"] = {"inline_string": body["string"]}
    elif "bytes" in body:
        action["body"] = {"inline_bytes": body["bytes"]}
    return action
