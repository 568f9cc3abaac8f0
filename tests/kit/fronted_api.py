"""An API server in front of a sandbox's, that knows users with fewer rights: the sandbox has one, who may do all.

It passes on what it is asked, but the reviews, which it answers from rules as Kubernetes' RBAC does, and what a
test gives other answers for. Between it and the workshop is a real kubectl.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

Rule = Mapping[str, Any]
EVERYTHING: Rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
_HOP = {"connection", "content-length", "content-encoding", "host", "transfer-encoding", "authorization"}


@dataclass
class FrontedApi:
    """`rules` of this user by namespace; those of "" hold in the whole cluster. An `incomplete` authorizer
    decides by them and does not list them. `answers` are others than the sandbox's, by method and path: status
    and body. `asked` is what has come."""

    rules: dict[str, Sequence[Rule]] = field(default_factory=lambda: {"": (EVERYTHING,)})
    incomplete: bool = False
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def reviews(self) -> list[str]:
        return [path.rpartition("/")[2] for method, path in self.asked if _is_review(method, path)]

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [each for each in self.asked if each[0] != "GET" and not _is_review(*each)]

    def kubeconfig(self, path: Path, context: str = "primary", user: Mapping[str, Any] | None = None) -> Path:
        """One that leads here."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "front", "cluster": {"server": self.url}}],
            "users": [{"name": "user", "user": dict(user or {})}],
            "contexts": [{"name": context, "context": {"cluster": "front", "user": "user"}}],
        }
        path.write_text(json.dumps(content))
        return path

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any] | None:
        """None for what is passed on."""
        if (method, path) in self.answers:
            return self.answers[method, path]
        if method == "POST" and path.endswith("/selfsubjectaccessreviews"):
            wanted = body["spec"]["resourceAttributes"]
            there = [*self.rules.get("", ()), *self.rules.get(wanted.get("namespace", ""), ())]
            return 201, {**body, "status": {"allowed": any(_allows(rule, wanted) for rule in there)}}
        if method == "POST" and path.endswith("/selfsubjectrulesreviews"):
            home = body["spec"].get("namespace", "")
            if not home:
                return 400, {"kind": "Status", "reason": "BadRequest", "message": "no namespace on request"}
            rules = [] if self.incomplete else [*self.rules.get("", ()), *self.rules.get(home, ())]
            status = {"resourceRules": rules, "nonResourceRules": [], "incomplete": self.incomplete}
            return 201, {**body, "status": status}
        return None


def _is_review(method: str, path: str) -> bool:
    return method == "POST" and path.startswith("/apis/authorization.k8s.io/")


def _allows(rule: Rule, wanted: Mapping[str, str]) -> bool:
    """https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources"""
    part = wanted.get("subresource", "")
    resource = "/".join(filter(None, (wanted["resource"], part)))
    return (
        not rule.get("resourceNames")
        and any(each in ("*", wanted["verb"]) for each in rule["verbs"])
        and any(each in ("*", wanted.get("group", "")) for each in rule["apiGroups"])
        and any(each in ("*", resource, f"*/{part}") for each in rule["resources"])
    )


def _way(kubeconfig: Path, context: str) -> tuple[Any, str]:
    """The cluster, and the token."""
    content = json.loads(kubeconfig.read_text())
    cluster = next(each["cluster"] for each in content["clusters"] if each["name"] == context)
    token = next(each["user"]["token"] for each in content["users"] if each["name"] == context)
    return cluster, token


@asynccontextmanager
async def in_front_of(kubeconfig: Path, context: str = "primary") -> AsyncIterator[FrontedApi]:
    """Of the cluster that a sandbox's kubeconfig leads to."""
    cluster, token = _way(kubeconfig, context)
    trusted = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    front = FrontedApi()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session:

        async def handle(request: web.Request) -> web.Response:
            content = await request.read()
            front.asked.append((request.method, request.path))
            body = json.loads(content) if content[:1] == b"{" else None
            if (found := front.answer(request.method, request.path, body)) is not None:
                return web.json_response(found[1], status=found[0])
            headers = {name: text for name, text in request.headers.items() if name.lower() not in _HOP}
            headers["Authorization"] = f"Bearer {token}"
            url = f"{cluster['server']}{request.path_qs}"
            async with session.request(request.method, url, data=content or None, headers=headers) as answer:
                given = {name: text for name, text in answer.headers.items() if name.lower() not in _HOP}
                return web.Response(status=answer.status, body=await answer.read(), headers=given)

        application = web.Application(client_max_size=1 << 26)
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield front
        finally:
            await runner.cleanup()
