"""What a class costs beside one member, where it waits: `python benchmarks/whole_class.py [MEMBERS]`.

The lab deploys a pod that is ready after a minute. One member runs it, then all others at once; then a lab that
waits for nothing, twice. Memory is the proportional set size while all of them wait.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INVOKE = str(Path(sys.executable).with_name("invoke"))
WAITS = 60
LAB = """
from workshop.authoring import Lab, apply

LAB = Lab(name="room.{name}", title="One of two", text="", parts=(apply("Deploy it", "{name}.yaml"{ready}),))
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: room}\n---\n"
NOTE = NAMESPACE + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note, namespace: room}\ndata: {says: hello}\n"
SLOW = (
    NAMESPACE
    + f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: slow, namespace: room}}
spec:
  selector: {{matchLabels: {{app: slow}}}}
  template:
    metadata: {{labels: {{app: slow}}}}
    spec:
      containers:
        - name: podinfo
          image: ${{podinfo}}
          readinessProbe:
            httpGet: {{path: /readyz, port: 9898}}
            initialDelaySeconds: {WAITS}
            periodSeconds: 1
"""
)


def memory(words: str) -> float:
    """In MB, of all processes with these words in their line."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if words in (process / "cmdline").read_text():
                said = re.search(r"^Pss: +(\d+)", (process / "smaps_rollup").read_text(), re.M)
                found += int(said[1]) if said else 0
        except OSError:
            continue
    return found / 1024


def run(folder: Path, *words: str, wait: float = 0) -> None:
    """The memory is looked at after `wait` seconds."""
    environment = {**os.environ, "INVOKE_STATE": str(folder / "state"), "INVOKE_LABS": str(folder / "room")}
    began, cpu = time.monotonic(), os.times()
    line = (*words, "--at-once", "1000")
    process = subprocess.Popen([INVOKE, *line], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if wait:
        time.sleep(wait)
        state = str(folder / "state")
        print(f"   waiting: kubectl {memory(f'{state}/class'):.0f} MB, this command {memory('class.run'):.0f} MB")
    said = process.communicate()[0].strip().splitlines()[-1]
    took, now = time.monotonic() - began, os.times()
    spent = now.children_user + now.children_system - cpu.children_user - cpu.children_system
    print(f"{' '.join(words[:2])}: {took:.1f} s, {spent:.1f} s processor; {said}", flush=True)
    if process.returncode:
        raise SystemExit(process.returncode)


def main(members: int) -> None:
    with tempfile.TemporaryDirectory(prefix="whole-class-") as name:
        folder = Path(name)
        (folder / "room").mkdir()
        for lab, ready, text in (("slow", ', ready="1/1"', SLOW), ("note", "", NOTE)):
            (folder / "room" / f"{lab}.py").write_text(LAB.format(name=lab, ready=ready))
            (folder / "room" / f"{lab}.yaml").write_text(text)
        one, others = folder / "one.yaml", folder / "others.yaml"
        one.write_text("members: [one]\n")
        others.write_text(f"members: [{', '.join(f'm{number}' for number in range(members))}]\n")
        try:
            for roster in (one, others):
                run(folder, "class.up", "--roster", str(roster))
                run(folder, "class.run", "room.slow", "--roster", str(roster), wait=0.7 * WAITS)
            for _ in range(2):
                run(folder, "class.run", "room.note", "--roster", str(others))
            run(folder, "class.status", "--roster", str(others))
        finally:
            for roster in (one, others):
                run(folder, "class.down", "--yes", "--roster", str(roster))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
