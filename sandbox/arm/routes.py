"""Requests, answers, and which function answers what. ARM's paths ignore case; names keep theirs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.arm.errors import ArmError


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    names: Mapping[str, str]
    """What stands in the path's places."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    """None when there was none."""

    @property
    def version(self) -> str:
        return self.query["api-version"]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Answer]]

_PLACE = re.compile(r"\{(\w+)(\*?)\}")


class Router:
    def __init__(self) -> None:
        self._routes: list[tuple[re.Pattern[str], dict[str, Handler]]] = []
        self._known: dict[str, dict[str, Handler]] = {}

    def add(self, methods: str, template: str, handler: Handler) -> None:
        """`methods` have blanks between them; `{name}` in the template is one part of a path, `{name*}` several."""
        if template not in self._known:
            found = self._known[template] = {}
            self._routes.append((_pattern(template), found))
        self._known[template].update(dict.fromkeys(methods.split(), handler))

    def find(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]]:
        """Raises ArmError for what is not served."""
        allowed: set[str] = set()
        for pattern, handlers in self._routes:
            if match := pattern.fullmatch(path):
                if method in handlers:
                    return handlers[method], match.groupdict()
                allowed.update(handlers)
        if allowed:
            raise ArmError(
                405,
                "MethodNotAllowed",
                f"The http method '{method}' is not supported for this resource by the sandbox "
                f"(supported: {', '.join(sorted(allowed))}).",
                headers={"Allow": ", ".join(sorted(allowed))},
            )
        raise not_served(path)


def _pattern(template: str) -> re.Pattern[str]:
    parts, last = [], 0
    for place in _PLACE.finditer(template):
        parts += [re.escape(template[last : place.start()])]
        parts.append(f"(?P<{place[1]}>{'.+?' if place[2] else '[^/]+'})")
        last = place.end()
    return re.compile("".join(parts) + re.escape(template[last:]), re.IGNORECASE)


def not_served(path: str) -> ArmError:
    """Azure's words for a kind it does not know, with what the sandbox adds."""
    _, found, after = path.partition("/providers/")
    if not found:
        return ArmError(404, "InvalidResourceType", f"'{path}' is not served by the sandbox.")
    namespace, *rest = after.split("/")
    kind = "/".join(rest[::2])
    return ArmError(
        404,
        "InvalidResourceType",
        f"The resource type '{kind}' could not be found in the namespace '{namespace}': "
        "the sandbox serves a subset of Azure.",
    )
