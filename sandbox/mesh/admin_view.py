"""Envoy's administration interface as one proxy has it, though all proxies share one Envoy.

Only what looks is there: nothing that changes or stops the Envoy of all the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from sandbox.mesh import clusters
from sandbox.mesh.data_plane import DataPlane
from sandbox.mesh.proxy_statistics import Inclusion, View, names, told_apart

PATHS = {
    "clusters": "upstream cluster status",
    "config_dump": "dump current Envoy configs",
    "help": "print out list of admin commands",
    "listeners": "print listener info",
    "ready": "print server state, return 200 if LIVE, otherwise return 503",
    "server_info": "print server version/status information",
    "stats": "print server stats",
    "stats/prometheus": "print server stats in prometheus format",
}
_FORMATS = ("text", "json", "prometheus")
_STATS_PARAMETERS = ("filter", "usedonly", "format", "type", "histogram_buckets", "text_readouts", "pretty")
_BOUND_TO_ALL = (clusters.PASSTHROUGH,)
"""Clusters that all proxies have together."""

Answer = tuple[int, str]
"""Status and body."""


class AdminView:
    """Raises OSError when Envoy does not run."""

    def __init__(self, data_plane: DataPlane, proxy_id: str, inclusion: Inclusion) -> None:
        self._data_plane, self._id, self._inclusion = data_plane, proxy_id, inclusion

    async def get(self, target: str) -> Answer:
        """What a GET of `target` (a path, with or without its slash and a query) answers."""
        path, _, query = target.removeprefix("/").partition("?")
        path = path.rstrip("/")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        if path in ("stats", "stats/prometheus"):
            return await self._stats(parameters, prometheus=path != "stats")
        if path == "config_dump":
            return await self._config_dump(parameters)
        if path not in PATHS:
            known = "".join(f"  /{known}: {help_}\n" for known, help_ in PATHS.items())
            return 404, f"the sandbox's proxies answer these only (admin commands are):\n{known}"
        if unknown := [key for key in parameters if (path, key) not in _PARAMETERS]:
            return 400, f"parameter {unknown[0]}: not supported by the sandbox\n"
        if path == "help":
            return 200, "admin commands are:\n" + "".join(f"  /{known}: {text}\n" for known, text in PATHS.items())
        as_json = parameters.get("format", "text") == "json"
        answer = await self._data_plane.admin(f"/{path}" + ("?format=json" if as_json else ""))
        if path in ("ready", "server_info"):
            return 200, answer
        return 200, self._json_list(answer) if as_json else self._lines(answer)

    async def _stats(self, parameters: Mapping[str, str], *, prometheus: bool) -> Answer:
        for key in parameters:
            if key not in _STATS_PARAMETERS:
                return 400, f"parameter {key}: not supported by the sandbox\n"
        wanted = "prometheus" if prometheus else parameters.get("format", "text")
        if wanted not in _FORMATS:
            return 400, f"format {wanted}: not supported by the sandbox, which has {', '.join(_FORMATS)}\n"
        try:
            pattern = re.compile(parameters["filter"]) if parameters.get("filter") else None
        except re.error as error:
            return 400, f"Invalid re2 regex: {error}\n"
        view = View(self._id, self._inclusion, pattern)
        passed = {key: value for key, value in parameters.items() if key not in ("filter", "format")}
        passed["filter"] = view.envoy_filter
        answer = await self._data_plane.admin(f"/stats?{urlencode({**passed, 'format': wanted})}")
        if wanted == "text":
            return 200, view.text(answer)
        if wanted == "json":
            return 200, view.json(answer)
        every = await self._data_plane.admin(f"/stats?{urlencode({'filter': view.envoy_filter})}")
        alone, alike = told_apart(names(every))
        answers = [(answer, alone)]
        for name in alike:
            passed["filter"] = f"^{re.escape(name)}$"
            exposition = await self._data_plane.admin(f"/stats?{urlencode({**passed, 'format': wanted})}")
            answers.append((exposition, [name]))
        return 200, view.prometheus(answers)

    async def _config_dump(self, parameters: Mapping[str, str]) -> Answer:
        for key in parameters:
            if key not in ("include_eds", "resource", "name_regex"):
                return 400, f"parameter {key}: not supported by the sandbox\n"
        try:
            pattern = re.compile(parameters["name_regex"]) if parameters.get("name_regex") else None
        except re.error as error:
            return 400, f"Invalid re2 regex: {error}\n"
        own = "|".join((rf"{re.escape(self._id)}/.*", *_BOUND_TO_ALL))
        passed = {key: value for key, value in parameters.items() if key != "name_regex"}
        query = urlencode({**passed, "name_regex": own}, quote_via=quote)
        answer = await self._data_plane.admin(f"/config_dump?{query}")
        try:
            dump = json.loads(answer)
        except ValueError:
            return 400, answer
        configs = [
            config
            for config in dump.get("configs", ())
            if not config.get("@type", "").endswith(".BootstrapConfigDump")
        ]
        dump["configs"] = [self._own(config, pattern) for config in configs]
        dump["configs"] = [config for config in dump["configs"] if config is not None]
        return 200, json.dumps(dump, indent=1) + "\n"

    def _own(self, value: Any, pattern: re.Pattern[str] | None) -> Any:
        """The configuration with the proxy's own names; None for a resource that `pattern` is not for."""
        if isinstance(value, str):
            return value.removeprefix(f"{self._id}/")
        if isinstance(value, list):
            return [made for made in (self._own(one, pattern) for one in value) if made is not None]
        if isinstance(value, dict):
            name = _resource_name(value)
            if (
                pattern is not None
                and name is not None
                and not pattern.fullmatch(name.removeprefix(f"{self._id}/"))
            ):
                return None
            inner = None if name is not None else pattern
            return {key: self._own(one, inner) for key, one in value.items()}
        return value

    def _lines(self, answer: str) -> str:
        mine = (f"{self._id}/", *(f"{name}::" for name in _BOUND_TO_ALL))
        lines = [line.replace(f"{self._id}/", "") for line in answer.splitlines() if line.startswith(mine)]
        return "".join(f"{line}\n" for line in lines)

    def _json_list(self, answer: str) -> str:
        """Of `clusters` and `listeners`: one list, each element of which has a name."""
        dump = json.loads(answer)
        for key, listed in dump.items():
            mine = [one for one in listed if one["name"].startswith(f"{self._id}/") or one["name"] in _BOUND_TO_ALL]
            dump[key] = self._own(mine, None)
        return json.dumps(dump, indent=1) + "\n"


_PARAMETERS = (("clusters", "format"), ("listeners", "format"))


def _resource_name(value: Mapping[str, Any]) -> str | None:
    """The name of what is a resource in a dump: a cluster, a route table, a listener, endpoints."""
    for key in ("cluster", "route_config", "endpoint_config"):
        if isinstance(value.get(key), dict) and "@type" in value[key]:
            return str(value[key].get("name", value[key].get("cluster_name", "")))
    if "active_state" in value or "warming_state" in value or "error_state" in value:
        return str(value.get("name", ""))
    if "@type" in value and str(value["@type"]).startswith("type.googleapis.com/envoy.config."):
        return str(value.get("name", value.get("cluster_name", "")))
    return None
