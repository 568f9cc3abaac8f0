"""kubectl inside a test's namespace, and what its tests write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.kit.sandbox import Kubectl

Eventually = Callable[[Callable[[], Any]], Any]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 0
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: pause
        ports:
        - containerPort: 8080
"""


def config_map(name: str, **data: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


class Inside:
    """kubectl in one namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self.kubectl, self.namespace = kubectl, namespace

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        return self.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def fails(self, *arguments: str, stdin: str = "") -> str:
        return self.kubectl.fails(f"--namespace={self.namespace}", *arguments, stdin=stdin)


def header(table: str) -> list[str]:
    return re.split(r"\s{2,}", table.splitlines()[0].strip())
