"""logs, exec, attach and port-forward, with the kubectls there are."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kit.sandbox import Kubectl

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: bin, labels: {app: bin}}
spec:
  containers:
    - {name: httpbin, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}
    - {name: box, image: busybox, command: [sh, -c, "echo one; echo two; echo three; sleep inf"]}
"""


@pytest.fixture(scope="module")
def pods(kubectl: Kubectl) -> Iterator[str]:
    """A namespace with a pod of two containers."""
    name = f"streams-{os.getpid()}"
    kubectl("create", "namespace", name)
    kubectl("apply", "-n", name, "-f", "-", stdin=PODS)
    kubectl("wait", "-n", name, "--for=condition=Ready", "pod/bin", "--timeout=60s")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_logs_show_the_last_lines_of_a_container(either_kubectl: Kubectl, pods: str) -> None:
    logs = [*("logs", "-n", pods, "bin", "-c", "box")]
    assert either_kubectl(*logs) == "one\ntwo\nthree\n"
    assert either_kubectl(*logs, "--tail=1") == "three\n"
    assert either_kubectl(*logs, "--limit-bytes=5") == "one\nt"
    assert re.fullmatch(r"[-0-9]+T[:0-9]+\.\d{9}Z three\n", either_kubectl(*logs, "--tail=1", "--timestamps"))
    assert either_kubectl(*logs, "--since-time=2999-01-01T00:00:00Z") == ""
    assert "two" in either_kubectl("logs", "-n", pods, "bin", "--all-containers", "--prefix")
    assert "previous terminated container" in either_kubectl.fails(*logs, "--previous")
    assert "nobody" in either_kubectl.fails("logs", "-n", pods, "bin", "-c", "nobody")


def test_logs_follow_until_the_container_ends(either_kubectl: Kubectl, namespace: str) -> None:
    script = "echo begun; until [ -e /go ]; do sleep 0.02; done; echo more"
    either_kubectl("run", "-n", namespace, "talk", "--image=busybox", "--restart=Never", "--", "sh", "-c", script)
    either_kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/talk", "--timeout=60s")
    following = either_kubectl.start("logs", "-n", namespace, "-f", "talk")
    assert following.stdout is not None
    assert following.stdout.readline() == "begun\n"
    either_kubectl("exec", "-n", namespace, "talk", "--", "sh", "-c", "echo > /go")
    assert following.communicate(timeout=60)[0] == "more\n"
    assert following.returncode == 0


def test_exec_carries_streams_and_the_exit_status(either_kubectl: Kubectl, pods: str) -> None:
    exec_ = [*("exec", "-n", pods, "bin", "-c", "box")]
    assert either_kubectl(*exec_, "-i", "--", "cat", stdin="a line\n" * 5000) == "a line\n" * 5000
    done = either_kubectl.run(*exec_, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr.startswith("err\n")
    missing = either_kubectl.run(*exec_, "--", "vi")
    assert missing.returncode == 127
    assert '"vi": executable file not found' in missing.stderr
    assert " curl " in missing.stderr


def test_exec_without_a_container_or_a_pod_says_so(either_kubectl: Kubectl, pods: str) -> None:
    assert "container" in either_kubectl.fails("exec", "-n", pods, "bin", "-c", "nobody", "--", "true")
    assert "not found" in either_kubectl.fails("exec", "-n", pods, "nobody", "--", "true")


def test_exec_is_where_the_pod_is(either_kubectl: Kubectl, pods: str) -> None:
    out = either_kubectl("exec", "-n", pods, "bin", "-c", "box", "--", "curl", "-s", "localhost:8080/hostname")
    assert json.loads(out) == {"hostname": "bin"}


def in_terminal(command: list[str], keys: list[tuple[str, str]]) -> tuple[int, str]:
    """Run a command in a terminal, type each text once the one before it was seen: its status and output."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)  # noqa: S606
    seen = ""
    deadline = time.monotonic() + 60
    waiting = list(keys)
    while time.monotonic() < deadline:
        if waiting and waiting[0][0] in seen:
            os.write(terminal, waiting.pop(0)[1].encode())
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece.decode()
    else:
        os.kill(child, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen


def test_a_shell_in_a_terminal_echoes_edits_interrupts_and_ends(either_kubectl: Kubectl, pods: str) -> None:
    command = either_kubectl.command("exec", "-it", "-n", pods, "bin", "-c", "box", "--", "sh")
    keys = [
        ("/ $ ", "echo $((6*7))x\x7fy\r"),
        ("42y", "sleep 100\r"),
        ("sleep 100\r\n", "\x03"),
        ("^C", "echo status $?\r"),
        ("status 130", "exit 5\r"),
    ]
    status, seen = in_terminal(command, keys)
    assert status == 5, seen


def test_run_attaches_to_what_it_started(either_kubectl: Kubectl, namespace: str) -> None:
    run = ["run", "-n", namespace, "shell", "--image=busybox", "--restart=Never", "--rm"]
    command = either_kubectl.command(*run, "-it", "--", "sh")
    status, seen = in_terminal(command, [("/ $ ", "hostname\r"), ("hostname\r\nshell", "exit\r")])
    assert status == 0, seen
    assert "deleted" in seen
    script = "echo hello; cat; exit 3"
    done = either_kubectl.run(*run, "-i", "--", "sh", "-c", script, stdin="typed\n")
    assert "hello\ntyped\n" in done.stdout
    assert done.stdout.count("hello\n") == 1  # a kubectl from 1.36 on reads the log before it attaches
    assert done.returncode == 3
    assert "couldn't attach" not in done.stderr
    assert f"pod {namespace}/shell terminated (Error)" in done.stderr


def test_run_shows_what_was_over_before_it_attached(either_kubectl: Kubectl, namespace: str) -> None:
    run = ["run", "-n", namespace, "short", "--image=busybox", "--restart=Never", "--rm", "-i", "--"]
    done = either_kubectl.run(*run, "sh", "-c", "echo once; exit 4")
    assert (done.stdout.count("once\n"), done.returncode) == (1, 4), done.stderr
    assert "couldn't attach" not in done.stderr


def test_attach_shows_what_is_written_from_now_on(either_kubectl: Kubectl, namespace: str) -> None:
    loop = "while true; do echo tick; sleep 0.05; done"
    either_kubectl("run", "-n", namespace, "clock", "--image=busybox", "--", "sh", "-c", loop)
    either_kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/clock", "--timeout=60s")
    attached = either_kubectl.start("attach", "-n", namespace, "clock")
    assert attached.stdout is not None
    seen = ""
    while "tick" not in seen:
        line = attached.stdout.readline()
        assert line, seen
        seen += line
    attached.kill()
    attached.wait()
    attached.stdout.close()


def test_attach_ends_with_the_run_it_attached_to(either_kubectl: Kubectl, namespace: str) -> None:
    run = ["run", "-n", namespace, "again", "--image=busybox", "-i", "--restart=Always"]
    first = either_kubectl.run(*run, "--", "sh", "-c", "read line; echo got $line", stdin="one\n")
    assert "got one\n" in first.stdout, first.stderr
    assert "couldn't attach" not in first.stderr
    either_kubectl("wait", "-n", namespace, "--for=jsonpath={..restartCount}=1", "pod/again", "--timeout=60s")
    second = either_kubectl.run("attach", "-n", namespace, "again", "-i", stdin="two\n")
    assert "got two\n" in second.stdout, second.stderr
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr


@pytest.fixture
def forwarded(either_kubectl: Kubectl, pods: str) -> Iterator[str]:
    """Where a port forwarded to the pod's 8080 is reached."""
    process = either_kubectl.start("port-forward", "-n", pods, "pod/bin", ":8080")
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", line)
    assert found, line
    yield f"http://{found[1]}"
    process.terminate()
    process.wait()
    process.stdout.close()


def fetch(url: str, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data, timeout=60) as reply:  # noqa: S310
        body: bytes = reply.read()
        return body


def test_port_forward_carries_requests_side_by_side(forwarded: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        slow = pool.submit(fetch, f"{forwarded}/delay/1")
        quick = list(pool.map(lambda number: fetch(f"{forwarded}/get?n={number}"), range(40)))
        assert not slow.done()
        large = b"x" * 300_000
        assert json.loads(fetch(f"{forwarded}/post", large))["data"] == large.decode()
        assert [json.loads(body)["args"]["n"] for body in quick] == [[str(number)] for number in range(40)]
        assert slow.result()


def test_port_forward_to_a_port_nobody_listens_on_says_so(either_kubectl: Kubectl, pods: str) -> None:
    process = either_kubectl.start("port-forward", "-n", pods, "pod/bin", ":9")
    assert process.stdout is not None
    found = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", process.stdout.readline())
    assert found
    with pytest.raises(OSError):  # noqa: PT011 - reset or empty, as kubectl closes it
        fetch(f"http://{found[1]}/")
    output = process.communicate()[0] if process.wait(timeout=60) is not None else ""
    assert "failed to connect to port 9 inside pod bin" in output


def test_copying_files_is_refused_clearly(either_kubectl: Kubectl, pods: str) -> None:
    done = either_kubectl.run("cp", "-n", pods, "-c", "box", "bin:/etc/hostname", os.devnull)
    assert done.returncode != 0
    assert '"tar": executable file not found' in done.stdout + done.stderr
