"""How the sandbox's cost grows with what is in it: `python benchmarks/sandbox_scale.py [PART ...]`.

Parts: deployments, rules, beside, start; all of them without an argument. Each prints a table's rows as soon as it
has them. Requests go over one connection that stays open, so that no client's start is measured. Processor time
is that of the server and its Envoy; memory is their resident set. The longest wait is that of somebody who asks the
API for its version a hundred times a second meanwhile: on a busy machine much of it is waiting for a processor.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300.0
HTTPBIN = "docker.io/mccutchen/go-httpbin:2.18.3"
Body = dict[str, Any]


class Sandbox:
    """One in a folder of its own, and a connection to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "sandbox", "up", "--state", str(folder)], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        self.pid = int(json.loads((folder / "server.json").read_text())["pid"])
        config = json.loads((folder / "kubeconfig").read_text())
        self._token = config["users"][0]["user"]["token"]
        self._address = urlsplit(config["clusters"][0]["cluster"]["server"]).netloc
        self._trusted = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        self._connection = self.connect()

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._address, context=self._trusted, timeout=PATIENCE)

    def __call__(self, method: str, path: str, body: Body | None = None) -> Body:
        return self.over(self._connection, method, path, body)

    def over(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: Body | None = None
    ) -> Body:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body).encode() if body is not None else None, headers)
        answer = connection.getresponse()
        said: Body = json.loads(answer.read())
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {said['message']}")
        return said

    def events(self, path: str) -> Iterator[Body]:
        connection = self.connect()
        connection.request("GET", f"{path}?watch=true", headers={"Authorization": f"Bearer {self._token}"})
        try:
            for line in connection.getresponse():
                yield json.loads(line)
        finally:
            connection.close()

    def run(self, *words: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(self.folder / "kubeconfig")}
        return subprocess.run(
            [str(self.folder / "bin" / words[0]), *words[1:]], env=environment, check=True, text=True,
            stdout=subprocess.PIPE,
        ).stdout  # fmt: skip

    def processes(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def processor(self) -> float:
        """Seconds so far."""
        return sum(_processor(pid) for pid in self.processes())

    def megabytes(self) -> float:
        return sum(_resident(pid) for pid in self.processes())


def _processor(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _resident(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return float(found[1]) * 1.024 / 1000 if found else 0.0


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        try:
            yield Sandbox(state)
        finally:
            subprocess.run(
                [sys.executable, "-m", "sandbox", "down", "--state", str(state)],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
            )


class Waits:
    """Asks for the version again and again, in a process of its own, beside whatever else is asked."""

    def __init__(self, of: Sandbox) -> None:
        self.milliseconds: list[float] = []
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_ask_again_and_again, args=(of, theirs))

    def __enter__(self) -> Waits:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.send("enough")
        self.milliseconds = self._ours.recv()
        self._process.join()

    def __str__(self) -> str:
        found = sorted(self.milliseconds)
        return f"{found[len(found) // 2]:.1f} / {found[len(found) * 99 // 100]:.1f} / {found[-1]:.1f}"


def _ask_again_and_again(of: Sandbox, pipe: multiprocessing.connection.Connection) -> None:
    connection = of.connect()
    milliseconds = []
    while not pipe.poll(0.01):
        started = time.perf_counter()
        of.over(connection, "GET", "/version")
        milliseconds.append((time.perf_counter() - started) * 1000)
    pipe.send(milliseconds)


# Objects

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
VIRTUAL_SERVICES = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"


def deployment(name: str, image: str = HTTPBIN, replicas: int = 1, **labels: str) -> Body:
    labels = {"app": name, **labels}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def service(name: str, port: int = 9080) -> Body:
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
    }


def all_ready(of: Sandbox, names: set[str], path: str = DEPLOYMENTS) -> None:
    for event in of.events(path):
        found = event["object"]
        if found.get("status", {}).get("readyReplicas", 0) == found["spec"]["replicas"]:
            names.discard(found["metadata"]["name"])
        if not names:
            return


# Parts


def deployments() -> None:
    print("| Deployments of one replica, made one by one | until all are Ready | processor s | memory | waits "
          "(median / 99 of 100 / longest) ms | processor share when idle |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for count in [int(os.environ["N"])] if "N" in os.environ else (100, 500, 1000):
        with sandbox() as of:
            started, before = time.perf_counter(), of.processor()
            with Waits(of) as waits:
                for number in range(count):
                    of("POST", DEPLOYMENTS, deployment(f"web-{number}"))
                all_ready(of, {f"web-{number}" for number in range(count)})
            took, used = time.perf_counter() - started, of.processor() - before
            memory, before = of.megabytes(), of.processor()
            time.sleep(20)
            idle = (of.processor() - before) / 20
            print(f"| {count} | {took:.1f} s | {used:.1f} | {memory:.0f} MB | {waits} | {idle:.2%} |", flush=True)


def rules() -> None:
    """With BookInfo (six sidecars and the gateway). The rule whose effect is measured is for `reviews`: a status
    that productpage gets instead of an answer, seen from outside."""
    print("| other VirtualServices | each with a Service of its own | until it has its effect (median, most) ms | "
          "processor ms |")  # fmt: skip
    print("|---|---|---|---|")
    for services in (False, True):
        with sandbox() as of:
            url = bookinfo(of)
            there = 0
            for others in (0, 10, 100, 500):
                for number in range(there, others):
                    if services:
                        of("POST", "/api/v1/namespaces/default/services", service(f"other-{number}"))
                    of("POST", VIRTUAL_SERVICES, other(f"other-{number}", f"other-{number}" if services else ""))
                there = others
                settle(of)
                took, used = zip(*(effect(of, url, 530 + turn % 20) for turn in range(15)), strict=True)
                cells = (others, "yes" if services else "no", f"{statistics.median(took):.0f}, {max(took):.0f}")
                print(*("", *cells, f"{statistics.median(used):.0f}", ""), sep="|", flush=True)


def other(name: str, host: str) -> Body:
    route = [{"destination": {"host": "details"}}]
    http = [{"match": [{"uri": {"prefix": "/x"}}], "route": route}, {"route": route}]
    return {"metadata": {"name": name}, "spec": {"hosts": [host or f"{name}.example.com"], "http": http}}


def abort(status: int) -> Body:
    fault = {"abort": {"httpStatus": status, "percentage": {"value": 100}}}
    http = [{"fault": fault, "route": [{"destination": {"host": "reviews"}}]}]
    return {"metadata": {"name": "reviews"}, "spec": {"hosts": ["reviews"], "http": http}}


def bookinfo(of: Sandbox) -> str:
    """Address and port of its way in."""
    of.run("istioctl", "install", "-y")
    of.run("kubectl", "label", "namespace", "default", "istio-injection=enabled")
    names = {"details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"}
    for name in sorted(names):
        app, version = name.split("-")
        of("POST", DEPLOYMENTS, deployment(name, f"docker.io/istio/examples-bookinfo-{name}:1.20.3", app=app,
                                           version=version))  # fmt: skip
    for name in ("details", "productpage", "ratings", "reviews"):
        of("POST", "/api/v1/namespaces/default/services", service(name))
    port = {"number": 8080, "name": "http", "protocol": "HTTP"}
    gateway = {"selector": {"istio": "ingressgateway"}, "servers": [{"port": port, "hosts": ["*"]}]}
    of("POST", "/apis/networking.istio.io/v1/namespaces/default/gateways",
       {"metadata": {"name": "gateway"}, "spec": gateway})  # fmt: skip
    way_in = {
        "hosts": ["*"],
        "gateways": ["gateway"],
        "http": [{"route": [{"destination": {"host": "productpage"}}]}],
    }
    of("POST", VIRTUAL_SERVICES, {"metadata": {"name": "way-in"}, "spec": way_in})
    of("POST", VIRTUAL_SERVICES, abort(529))
    all_ready(of, names)
    entrance = of("GET", "/api/v1/namespaces/istio-system/services/istio-ingressgateway")
    return f"{entrance['status']['loadBalancer']['ingress'][0]['ip']}:8080"


def effect(of: Sandbox, address: str, status: int) -> tuple[float, float]:
    """Milliseconds, and of processor."""
    path = f"{VIRTUAL_SERVICES}/reviews"
    live = of("GET", path)
    outside = http.client.HTTPConnection(address, timeout=PATIENCE)
    outside.connect()
    before, started = of.processor(), time.perf_counter()
    of("PUT", path, {**live, "spec": abort(status)["spec"]})
    while (time.perf_counter() - started) < PATIENCE:
        outside.request("GET", "/api/v1/products/0/reviews")
        answer = outside.getresponse()
        answer.read()
        if answer.status == status:
            break
    took = (time.perf_counter() - started) * 1000
    outside.close()
    settle(of)
    return took, (of.processor() - before) * 1000


def settle(of: Sandbox) -> None:
    """Until it does next to nothing."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = of.processor()
        time.sleep(0.3)
        if of.processor() - before <= 0.02:
            return


_RULE = {"hosts": ["x.example.com"], "http": [{"directResponse": {"status": 200}}]}
_CORE, _ISTIO = "/api/v1/namespaces/default", "/apis/networking.istio.io/v1/namespaces/default"
KINDS: dict[str, tuple[str, Callable[[str], Body]]] = {
    "ConfigMap": (f"{_CORE}/configmaps", lambda name: {"metadata": {"name": name}, "data": {"a": "b" * 200}}),
    "Secret": (f"{_CORE}/secrets", lambda name: {"metadata": {"name": name}, "stringData": {"a": "b"}}),
    "ServiceAccount": (f"{_CORE}/serviceaccounts", lambda name: {"metadata": {"name": name}}),
    "Service": (f"{_CORE}/services", service),
    "Pod (that fits no node)": (
        f"{_CORE}/pods",
        lambda name: {
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "web", "image": HTTPBIN}]},
        },
    ),
    "Deployment (of no replica)": (DEPLOYMENTS, lambda name: deployment(name, replicas=0)),
    "HorizontalPodAutoscaler": (
        "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
        lambda name: {
            "metadata": {"name": name},
            "spec": {
                "maxReplicas": 2,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            },
        },
    ),
    "PodDisruptionBudget": (
        "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
        lambda name: {
            "metadata": {"name": name},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}},
        },
    ),
    "Role": (
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
        lambda name: {"metadata": {"name": name}, "rules": []},
    ),
    "Lease": (
        "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        lambda name: {"metadata": {"name": name}, "spec": {}},
    ),
    "Namespace": ("/api/v1/namespaces", lambda name: {"metadata": {"name": name}}),
    "VirtualService": (
        f"{_ISTIO}/virtualservices",
        lambda name: {"metadata": {"name": name}, "spec": {**_RULE, "hosts": [f"{name}.example.com"]}},
    ),
    "DestinationRule": (
        f"{_ISTIO}/destinationrules",
        lambda name: {"metadata": {"name": name}, "spec": {"host": f"{name}.example.com"}},
    ),
    "ServiceEntry": (
        f"{_ISTIO}/serviceentries",
        lambda name: {
            "metadata": {"name": name},
            "spec": {
                "hosts": [f"{name}.example.com"],
                "resolution": "STATIC",
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "endpoints": [{"address": "127.65.1.1"}],
            },
        },
    ),
}


def beside(count: int = 5000) -> None:
    print(f"| 50 of a kind | processor ms each, beside none | beside {count} of it | ratio | a list of them all | "
          "longest wait meanwhile ms |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for kind, (path, make) in KINDS.items():
        with sandbox() as of:
            if path.startswith(_ISTIO):
                of.run("istioctl", "install", "-y")
            make_some(of, path, make, "warm", 50)
            alone = several(of, path, make, "none")
            make_some(of, path, make, "other", count)
            among = several(of, path, make, "more")
            with Waits(of) as waits:
                make_some(of, path, make, "last", 50)
                started = time.perf_counter()
                of("GET", path)
                listed = time.perf_counter() - started
            print(f"| {kind} | {alone:.1f} | {among:.1f} | {among / alone:.2f} | {listed:.2f} s | "
                  f"{max(waits.milliseconds):.0f} |", flush=True)  # fmt: skip


def several(of: Sandbox, path: str, make: Callable[[str], Body], prefix: str) -> float:
    return statistics.median(make_some(of, path, make, f"{prefix}-{turn}", 50) for turn in range(3))


def make_some(of: Sandbox, path: str, make: Callable[[str], Body], prefix: str, count: int) -> float:
    """Milliseconds of processor for each, with all that follows from it."""
    settle(of)
    before = of.processor()
    for number in range(count):
        of("POST", path, make(f"{prefix}-{number}"))
    settle(of)
    return (of.processor() - before) * 1000 / count


def start() -> None:
    print("| sandboxes started at once | ready after (median, most) s | processor s each, of which Envoy |")
    print("|---|---|---|")
    for count in (1, 10):
        with tempfile.TemporaryDirectory() as folder:
            states = [Path(folder) / f"state-{number}" for number in range(count)]
            took: list[float] = []
            used: list[float] = []
            of_envoy: list[float] = []

            def up(state: Path, took: list[float] = took) -> None:
                started = time.perf_counter()
                subprocess.run([sys.executable, "-m", "sandbox", "up", "--state", str(state)], cwd=ROOT, check=True,
                               stdout=subprocess.DEVNULL)  # fmt: skip
                took.append(time.perf_counter() - started)

            before = os.times().children_user + os.times().children_system
            threads = [threading.Thread(target=up, args=(state,)) for state in states]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            callers = os.times().children_user + os.times().children_system - before
            time.sleep(1)
            for state in states:
                pid = int(json.loads((state / "server.json").read_text())["pid"])
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                of_envoy.append(sum(_processor(int(child)) for child in children))
                used.append(_processor(pid) + of_envoy[-1] + callers / count)
            for state in states:
                subprocess.run([sys.executable, "-m", "sandbox", "down", "--state", str(state)], cwd=ROOT,
                               stdout=subprocess.DEVNULL)  # fmt: skip
            print(f"| {count} | {statistics.median(took):.2f}, {max(took):.2f} | {statistics.mean(used):.2f}, "
                  f"{statistics.mean(of_envoy):.2f} |", flush=True)  # fmt: skip


PARTS: dict[str, Callable[[], None]] = {
    "deployments": deployments,
    "rules": rules,
    "beside": beside,
    "start": start,
}


if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
        print()
