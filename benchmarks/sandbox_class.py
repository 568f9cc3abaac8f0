"""What the sandboxes of a class cost in one process: `python benchmarks/sandbox_class.py [MEMBERS [WITH_ISTIO]]`.

Memory is the proportional set size. A cluster is used once its nodes have been listed. With Istio are its default
profile and BookInfo's workloads, all of them available; each such cluster has an Envoy then.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sandbox.server import launcher  # noqa: E402
from sandbox.server.launcher import Running  # noqa: E402

SERVICES = ("details", "productpage", "ratings", "reviews")


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(*pids: int) -> float:
    """In MB."""
    found = (re.search(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M) for pid in pids)
    return sum(int(each[1]) for each in found if each) / 1024


def started(folders: list[Path]) -> Running:
    """All of them."""
    began = time.monotonic()
    found = launcher.ensure_all(folders)
    took, (running, *_) = time.monotonic() - began, found.values()
    if not isinstance(running, Running) or not all(isinstance(each, Running) for each in found.values()):
        raise SystemExit("\n".join(str(each) for each in found.values() if not isinstance(each, Running)))
    pid = running.pid
    print(f"{len(folders)} started: {took:.2f} s, {processor(pid):.2f} s processor, {memory(pid):.0f} MB")
    return running


def use(folder: Path) -> None:
    config = json.loads((folder / "kubeconfig").read_text())
    url, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
    request = urllib.request.Request(f"{url}/api/v1/nodes", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    trusted = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    urllib.request.urlopen(request, context=trusted, timeout=60).close()  # noqa: S310


def have_istio(folder: Path, bookinfo: str) -> None:
    def run(*command: str, stdin: str = "") -> None:
        environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder.parent)}
        subprocess.run([folder / "bin" / command[0], *command[1:]], input=stdin, env=environment, text=True,
                       check=True, stdout=subprocess.DEVNULL)  # fmt: skip

    run("istioctl", "install", "-y")
    run("kubectl", "apply", "-f", "-", stdin=bookinfo)
    run("kubectl", "wait", "-n=bookinfo", "--for=condition=Available", "deployment", "--all", "--timeout=120s")


def manifests() -> str:
    images = yaml.safe_load((ROOT / "config" / "sandbox.yaml").read_text())["images"] | {"replicas": "1"}
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: bookinfo, labels: {istio-injection: enabled}}\n"
    texts = [(ROOT / "labs" / "istio" / f"bookinfo-{name}.yaml").read_text() for name in SERVICES]
    return re.sub(r"\$\{([\w-]+)\}", lambda found: images[found[1]], "\n---\n".join([namespace, *texts]))


def main(members: int, with_istio: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder) / f"member-{number}" / "sandbox" for number in range(members)]
        try:
            started(folders[:1])
            launcher.stop(folders[0])
            pid = started(folders).pid
            before, spent = memory(pid), processor(pid)
            for each in folders:
                use(each)
            more, took = (memory(pid) - before) / members, processor(pid) - spent
            print(f"each used: {more:.2f} MB more, {1000 * took / members:.0f} ms processor")
            spent = processor(pid)
            time.sleep(20)
            print(f"idle, all used: {100 * (processor(pid) - spent) / 20:.1f} % of a processor")
            before, spent, bookinfo = memory(pid), processor(pid), manifests()
            for each in folders[:with_istio]:
                have_istio(each, bookinfo)
            more, took = (memory(pid) - before) / with_istio, (processor(pid) - spent) / with_istio
            listed = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True,
                                    check=True).stdout.split()  # fmt: skip
            envoys = memory(*map(int, listed)) / with_istio
            print(
                f"with Istio and BookInfo, each: {more:.1f} MB more, {took:.2f} s processor, Envoy {envoys:.1f} MB"
            )
        finally:
            began = time.monotonic()
            launcher.stop_all(folders)
            print(f"ended in {time.monotonic() - began:.2f} s")


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:3]]
    main(*given, *(100, 10)[len(given) :])
