"""The product as a person uses it: `invoke` in a process of its own, on a sandbox of its own."""

from __future__ import annotations

import base64
import functools
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.kit import forked
from workshop.settings import ROOT

BIN = Path(sys.executable).parent
HANGS = 600
"""Seconds after which a process is taken to hang: many times what it needs on a busy machine."""

_LINE = re.compile(r"^  \S (unchanged|changed|failed|skipped|inconclusive) +(\d+) (.*?)(?:  .*)?$", re.M)


@dataclass(frozen=True)
class Ran:
    status: int
    said: str

    @property
    def outcomes(self) -> list[str]:
        return [outcome for outcome, _, _ in _LINE.findall(self.said)]

    @property
    def unfolded(self) -> str:
        """What was said, however wide the screen was."""
        return " ".join(self.said.split())

    def titled(self, outcome: str) -> list[str]:
        """The titles of the steps with that outcome, in the order they ended."""
        return [title for found, _, title in _LINE.findall(self.said) if found == outcome]


def invoke(*words: str, stdin: str = "", **variables: str) -> Ran:
    """A line that is typed where these variables are set beside the tests' own."""
    return Ran(*forked.invoke(*words, environment={**os.environ, **variables}, stdin=stdin, seconds=HANGS))


@dataclass(frozen=True)
class Workshop:
    state: Path

    @property
    def azure(self) -> SandboxAzure:
        return SandboxAzure(self.state)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "INVOKE_STATE": str(self.state), "NO_COLOR": "1", "SHELL": "/bin/sh"}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BIN / "invoke", *words],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *words: str, stdin: str = "", **variables: str) -> Ran:
        return invoke(*words, stdin=stdin, **{**self.environment, **variables})

    def converge(self, *words: str) -> Ran:
        ran = self.run(*words)
        assert ran.status == 0, ran.said
        return ran

    def by_hand(self, command: str) -> str:
        """What an attendee types in the sandbox's shell, and what it prints."""
        ran = self.run("sandbox.shell", stdin=command)
        assert ran.status == 0, ran.said
        return ran.said

    def to_type(self, *words: str) -> str:
        """What `--explain` says to type, as a script that the first command that fails ends."""
        said = self.converge(*words, "--explain").said
        return "set -e\n" + "".join(re.findall(r"(?ms)^```sh\n(.*?)^```$", said))

    def explained(self, *words: str) -> str:
        """That, typed: what it prints."""
        return self.by_hand(self.to_type(*words))

    def dump(self) -> dict[str, Any]:
        """Every object of the cluster, but events and what changes by itself."""
        cluster = Cluster(self.state / "sandbox" / "kubeconfig", "primary")
        items = cluster.items(lambda kind: kind != "Event")
        return {_name(kind, item["metadata"]): _lasting(kind, item) for kind, item in items}


def _name(kind: str, metadata: dict[str, Any]) -> str:
    return "/".join((kind, metadata.get("namespace", ""), metadata["name"]))


def _lasting(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        key: item["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences", "finalizers")
    }
    if kind in ("Node", "Lease"):  # heartbeats
        return {"metadata": metadata}
    return {**item, "metadata": metadata}


def until(process: subprocess.Popen[str], pattern: str) -> str:
    """What the process has said when `pattern` is in it (or when it ended)."""
    said = ""
    assert process.stdout
    while line := process.stdout.readline():
        said += line
        if re.search(pattern, said):
            break
    return said


class AzureControl:
    """How tests tell a sandbox's Azure to behave, and ask what it was asked."""

    def place(self) -> dict[str, str]:
        """Its url and token, and the file of its ca."""
        raise NotImplementedError

    def requests(self) -> list[dict[str, Any]]:
        """Since the log was cleared."""
        found: list[dict[str, Any]] = self._control("GET", "requests")["value"]
        return found

    def clear(self) -> None:
        """Forget what was asked: the next request is number 1."""
        self._control("DELETE", "requests")

    def set(self, **settings: Any) -> None:
        self._control("POST", "settings", settings)

    def ask(self, method: str, what: str, body: Any = None) -> Any:
        """Of Azure itself, within the subscription; in a version that groups and networks both have."""
        return self._ask(
            method, f"subscriptions/{self.place()['subscription']}/{what}?api-version=2025-03-01", body
        )

    def _control(self, method: str, what: str, body: Any = None) -> Any:
        return self._ask(method, f"sandbox/{what}", body)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        place = self.place()
        headers = {"Authorization": f"Bearer {place['token']}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{place['url']}/{path}", content, headers, method=method)  # noqa: S310
        trusted = urllib.request.HTTPSHandler(context=_trusting(Path(place["ca"]).read_text()))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")


@functools.cache
def _trusting(authority: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority)


@dataclass(frozen=True)
class SandboxAzure(AzureControl):
    state: Path

    def place(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.state / "sandbox" / "azure.json").read_text())
        return found

    def sent(self, *methods: str) -> list[str]:
        """Method and path of the requests with one of these methods."""
        return [f"{each['method']} {each['path']}" for each in self.requests() if each["method"] in methods]


class Cluster:
    """One as HTTP has it, for looks at all that is there: kubectl takes seconds for them."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        content = json.loads(kubeconfig.read_text())
        named = {entry["name"]: entry["cluster"] for entry in content["clusters"]}[context]
        user = {entry["name"]: entry["user"] for entry in content["users"]}[context]
        authority = base64.b64decode(named["certificate-authority-data"]).decode()
        place = urlsplit(named["server"])
        self._context, self._headers = (
            context,
            {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"},
        )
        self._connection = http.client.HTTPSConnection(
            str(place.hostname), place.port, context=_trusting(authority), timeout=60
        )

    def versions(self, aside: Sequence[str] = ("Event", "Lease", "Node")) -> Iterator[tuple[str, str]]:
        """Of all but what changes by itself."""
        for kind, item in self.items(lambda kind: kind not in aside):
            yield f"{self._context}/{_name(kind, item['metadata'])}", item["metadata"]["resourceVersion"]

    def items(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The objects of the kinds that are wanted, each with its kind."""
        groups = [f"/apis/{group['preferredVersion']['groupVersion']}" for group in self._get("/apis")["groups"]]
        for group in ("/api/v1", *groups):
            for resource in self._get(group)["resources"]:
                if "list" in resource["verbs"] and wanted(resource["kind"]):
                    for item in self._get(f"{group}/{resource['name']}")["items"]:
                        yield resource["kind"], item

    def create_namespace(self, name: str) -> None:
        self._ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def delete_namespace(self, name: str) -> None:
        """What was in it goes in time."""
        self._ask("DELETE", f"/api/v1/namespaces/{name}")

    def _get(self, path: str) -> Any:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, self._headers)
        answer = self._connection.getresponse()
        found = json.loads(answer.read())
        assert answer.status < 300 or answer.status == 404, found
        return found
