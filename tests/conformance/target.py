"""The cluster that cases run on: kubectl, istioctl and HTTP are all that is asked of it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workshop.kubernetes import ingress


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


@dataclass
class Target:
    kubectl: str
    istioctl: str
    kubeconfig: str
    context: str
    cache: str
    patience: float
    """Seconds that configuration may take to be everywhere."""
    is_sandbox: bool
    """It was started for the cases, and ends with them."""
    _ingress: tuple[str, int] = field(default=("", 0), repr=False)

    def run(self, program: str, arguments: Sequence[str], stdin: str = "") -> Done:
        where = [f"--kubeconfig={self.kubeconfig}"] + ([f"--context={self.context}"] if self.context else [])
        binary = self.kubectl if program == "kubectl" else self.istioctl
        # kubectl takes none after `--`.
        at = 1 if program == "istioctl" else 0
        argv = [binary, *arguments[:at], *where, *arguments[at:]]
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=self.patience * 20 + 60,
            check=False,
            env={**os.environ, "KUBECACHEDIR": self.cache},
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ask(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl printed; it must succeed."""
        done = self.run("kubectl", arguments, stdin)
        if done.status:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.err or done.out}")
        return done.out

    def send(self, files: Mapping[str, Sequence[Any]], *verb: str) -> dict[str, str]:
        """Send the objects of each file by one kubectl, and say what was refused, by file."""
        if not files:
            return {}
        with tempfile.TemporaryDirectory() as folder:
            for name, objects in files.items():
                Path(folder, f"{name}.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
            done = self.run("kubectl", [*verb, "-f", folder])
        refused: dict[str, str] = {}
        last = ""
        for line in done.err.splitlines():
            last = next((name for name in files if f"/{name}.yaml" in line), last)
            refused[last] = f"{refused.get(last, '')}{line}\n"
        if done.status and not refused:
            raise RuntimeError(f"kubectl {' '.join(verb)}: status {done.status} and no reason")
        return refused

    def outside(
        self, method: str, path: str, headers: Mapping[str, str], body: str | None
    ) -> tuple[int, list[tuple[str, str]], str]:
        """A request to the ingress gateway, at the address that labs find."""
        if not self._ingress[1]:
            service = json.loads(
                self.ask("get", "service", "-n", "istio-system", "istio-ingressgateway", "-o", "json")
            )
            entry = ingress.read(service, "http2")
            assert not isinstance(entry, str), f"the ingress gateway lacks {entry}"
            self._ingress = entry
        connection = http.client.HTTPConnection(*self._ingress, timeout=20)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read().decode(errors="replace")
        except OSError:
            return 0, [], ""
        finally:
            connection.close()
