"""What stands between tools in the benchmarks is what it says: the page in other forms, a counter, a slow line."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from sandbox.server.certificates import server_context
from workshop.settings import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import between
import page


def test_the_page_is_the_same_for_all_tools(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "invoke", "lab.istio", "--explain"]
    environment = {**os.environ, "INVOKE_STATE": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    steps = page.steps_of(done.stdout)
    names = [step.name for step in steps]
    assert len(set(names)) == len(names) > 40
    assert all(set(step.after) <= set(names[: names.index(step.name)]) for step in steps)
    assert [step.name for step in steps if step.installs] == ["istio.install.1", "istio.mirror.1"]
    script = page.by_hand(*(step.script for step in steps))
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=30)
    found = page.in_the_end(steps)
    assert (len(found["primary"]), len(found["secondary"])) == (53, 5)
    namespaces = [each for each in found["primary"] if each["kind"] == "Namespace"]
    assert found["primary"][: len(namespaces)] == namespaces
    assert {each["metadata"]["labels"]["istio-injection"] for each in namespaces} == {"enabled"}


class _Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"x" * int(self.path[1:]))

    def do_POST(self) -> None:
        left = self.headers.get("Content-Length")
        if left is None:
            while int(self.rfile.readline(), 16):
                self.rfile.readline()
            self.rfile.readline()
        else:
            self.rfile.read(int(left))
        self._answer(b"done")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    context, authority = server_context(["127.0.0.1"], tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    cluster = {
        "server": f"https://127.0.0.1:{server.server_port}",
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump({"clusters": [{"name": "one", "cluster": cluster}]}))
    yield file
    server.shutdown()
    thread.join()
    server.server_close()


def connection(kubeconfig: Path) -> http.client.HTTPSConnection:
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    address = urlsplit(cluster["server"])
    return http.client.HTTPSConnection(
        str(address.hostname), address.port, context=ssl.create_default_context(cadata=authority), timeout=60
    )


def test_a_counter_counts_every_request(kubeconfig: Path, tmp_path: Path) -> None:
    through = tmp_path / "through"
    with between.led_through(kubeconfig, through) as (counter,):
        for _ in range(2):
            client = connection(through)
            for body in (b"a" * 100_000, iter((b"b" * 10, b"c" * 20_000)), b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"):
                client.request("POST", "/", body)
                assert client.getresponse().read() == b"done"
            client.request("GET", "/300000")
            assert len(client.getresponse().read()) == 300_000
            client.close()
        assert counter.requests == 8


def test_a_slow_line_takes_its_time(kubeconfig: Path, tmp_path: Path) -> None:
    """No more is sure than what it takes at least: a round trip to connect, one for TLS, one for the request."""
    through = tmp_path / "through"
    with between.led_through(kubeconfig, through, slow=True):
        client, began = connection(through), time.monotonic()
        client.request("GET", "/1")
        assert client.getresponse().read() == b"x"
        assert time.monotonic() - began >= 0.3
        began = time.monotonic()
        client.request("GET", "/125000")
        assert len(client.getresponse().read()) == 125_000
        assert time.monotonic() - began >= 0.1 + 125_000 / (10e6 / 8)
        client.close()


def test_no_step_of_the_benchmark_s_labs_has_a_proof() -> None:
    code = (
        "import tasks\n"
        "for lab in tasks.ns.collections['lab'].tasks['all'].runbook.labs:\n"
        "    for part in lab.parts:\n"
        "        for step in getattr(part, 'steps', (part,)):\n"
        "            assert isinstance(step, tasks.UnprovedTimeline) or not step.has_proof(None), step.title\n"
        "            print(step.title)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "benchmarks" / "unproved",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Deploy productpage, which calls them" in done.stdout
