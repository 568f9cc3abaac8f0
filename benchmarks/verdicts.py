"""How often a traffic verdict errs: `.venv/bin/python benchmarks/verdicts.py [RUNS] [LAB ...]`.

Every stage of every Istio lab is brought about in a sandbox, then its proof is run RUNS times (200 if not said):
each verdict that is not a pass is a false alarm, and told. Then the same proof is run on a configuration that is
wrong: weights ten points off, a fault of 0 %, a lifted breaker, no mirror. Each pass there is one that was missed.
On a wrong configuration the wait for the change to become visible is left out; it would only end by its time limit.
An ejected pod comes back after seconds instead of three minutes, as each run of the breaker's proof waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from labs import RUNBOOK  # noqa: E402
from workshop.kubernetes import proofs  # noqa: E402
from workshop.kubernetes.kubectl import Kubectl  # noqa: E402
from workshop.kubernetes.stages import Stages  # noqa: E402
from workshop.mesh.breaker import HasLimits  # noqa: E402
from workshop.mesh.mirroring import Mirrored  # noqa: E402
from workshop.runbook.model import Lab, Step  # noqa: E402
from workshop.runbook.run import Facts, Run  # noqa: E402
from workshop.settings import DEFAULT_PROFILE, from_config, read_profile  # noqa: E402
from workshop.target import Target, describe  # noqa: E402

INVOKE = str(Path(sys.executable).parent / "invoke")
Object = dict[str, Any]


@dataclass(frozen=True)
class Wrong:
    """`edit` changes the objects of the stage; those it takes out are deleted."""

    what: str
    edit: Callable[[list[Object]], list[Object]]


def spec(kind: str, name: str, change: Callable[[Object], None]) -> Callable[[list[Object]], list[Object]]:
    def edit(objects: list[Object]) -> list[Object]:
        for obj in objects:
            if (obj["kind"], obj["metadata"]["name"]) == (kind, name):
                change(obj["spec"])
        return objects

    return edit


def weights(name: str, *other: tuple[str, int]) -> Wrong:
    """Subsets and the weights they have instead."""

    def change(found: Object) -> None:
        host = found["http"][-1]["route"][0]["destination"]["host"]
        found["http"][-1]["route"] = [
            {"destination": {"host": host, "subset": subset}, "weight": weight} for subset, weight in other
        ]

    said = ", ".join(f"{subset} {weight}" for subset, weight in other)
    return Wrong(f"weights {said}", spec("VirtualService", name, change))


def someone_else(found: Object) -> None:
    found["http"][0]["match"][0]["headers"]["end-user"]["exact"] = "nobody"


def no_fault(found: Object) -> None:
    for rule in found["http"]:
        for fault in rule.get("fault", {}).values():
            fault["percentage"] = {"value": 0}


def no_mirror(found: Object) -> None:
    for rule in found["http"]:
        for name in ("mirror", "mirrorPercentage", "mirrors"):
            rule.pop(name, None)


def lifted(found: Object) -> None:
    found["trafficPolicy"] = {}


def back_soon(found: Object) -> None:
    found["trafficPolicy"]["outlierDetection"]["baseEjectionTime"] = "5s"


def in_force(found: Object) -> None:
    found["trafficPolicy"] = {
        "connectionPool": {
            "tcp": {"maxConnections": 1},
            "http": {"http1MaxPendingRequests": 1, "maxRequestsPerConnection": 1},
        }
    }


WRONG: dict[tuple[str, str], Wrong] = {
    ("istio.canary", "v1"): weights("reviews", ("v1", 90), ("v3", 10)),
    ("istio.canary", "thirds"): weights("reviews", ("v1", 43), ("v2", 33), ("v3", 24)),
    ("istio.canary", "half"): weights("reviews", ("v1", 60), ("v3", 40)),
    ("istio.canary", "v3"): weights("reviews", ("v1", 10), ("v3", 90)),
    ("istio.identity", "identity"): Wrong("another user", spec("VirtualService", "reviews", someone_else)),
    ("istio.shift", "v1"): weights("helloworld", ("v1", 90), ("v2", 10)),
    ("istio.shift", "tenth"): weights("helloworld", ("v1", 80), ("v2", 20)),
    ("istio.shift", "half"): weights("helloworld", ("v1", 60), ("v2", 40)),
    ("istio.shift", "v2"): weights("helloworld", ("v1", 10), ("v2", 90)),
    ("istio.fault", "delay"): Wrong("fault 0 %", spec("VirtualService", "ratings", no_fault)),
    ("istio.fault", "fixed"): Wrong("fault 0 %", spec("VirtualService", "ratings", no_fault)),
    ("istio.fault", "abort"): Wrong("fault 0 %", spec("VirtualService", "ratings", no_fault)),
    ("istio.blue-green", "blue"): weights("podinfo", ("blue", 90), ("green", 10)),
    ("istio.blue-green", "half"): weights("podinfo", ("blue", 60), ("green", 40)),
    ("istio.blue-green", "green"): weights("podinfo", ("blue", 10), ("green", 90)),
    ("istio.circuit-breaker", "limits"): Wrong("lifted", spec("DestinationRule", "httpbin", lifted)),
    ("istio.circuit-breaker", "lifted"): Wrong("in force", spec("DestinationRule", "httpbin", in_force)),
    ("istio.mirror", "cluster"): Wrong("mirror off", spec("VirtualService", "helloworld", no_mirror)),
    ("istio.mirror", "secondary"): Wrong("mirror off", spec("VirtualService", "helloworld", no_mirror)),
}

QUICKER = {("istio.circuit-breaker", "limits"): spec("DestinationRule", "httpbin", back_soon)}


def main() -> None:
    words = sys.argv[1:]
    runs = int(words.pop(0)) if words and words[0].isdigit() else 200
    labs = [RUNBOOK.lab(name) for name in words] or [lab for lab in RUNBOOK.labs if lab.name.startswith("istio.")]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["INVOKE_STATE"] = folder
        try:
            print("| lab | stage | runs | passed | seconds each | wrong | runs | caught |")
            print("|---|---|---|---|---|---|---|---|")
            for lab, stages, name in every_stage(labs):
                invoke(f"lab.{lab.name}", "--to", name)
                print(asyncio.run(row(target(folder), lab, stages, name, runs)), flush=True)
        finally:
            invoke("sandbox.down")


def every_stage(labs: list[Lab]) -> Iterator[tuple[Lab, Stages, str]]:
    for lab in labs:
        for part in lab.parts:
            if isinstance(part, Stages):
                yield from ((lab, part, name) for name in part.stages)


async def row(on: Target, lab: Lab, stages: Stages, name: str, runs: int) -> str:
    facts, options = Facts(), {option.name: option.default for option in lab.options}
    run = Run(lab.name, on.toolbox, facts, options, lambda event: None)
    step = stages.step(name, run)
    if quicker := QUICKER.get((lab.name, name)):
        await Kubectl.of(run).apply(quicker(copy.deepcopy((await stages.observe(run)).objects[name])))
    right, seconds = await verdicts(step, run, runs, tell=True)
    cells = [lab.name, name, str(runs), told(right), f"{seconds:.1f}"]
    if wrong := WRONG.get((lab.name, name)):
        objects = (await stages.observe(run)).objects[name]
        edited = wrong.edit(copy.deepcopy(objects))
        await Kubectl.of(run).apply(edited)
        await asyncio.sleep(0.5)
        run.patience = 0.0
        with without_waits():
            found, _ = await verdicts(step, run, runs, tell=False)
        await Kubectl.of(run).apply(objects)
        cells += [wrong.what, str(runs), str(runs - found["pass"])]
    else:
        cells += ["", "", ""]
    return f"| {' | '.join(cells)} |"


async def verdicts(step: Step, run: Run, runs: int, *, tell: bool) -> tuple[Counter[str], float]:
    """How many of each kind, and seconds that one takes."""
    found: Counter[str] = Counter()
    started = time.perf_counter()
    for number in itertools.count():
        if number == runs:
            return found, (time.perf_counter() - started) / runs
        run.facts.forget()
        verdict = await step.verify(run)
        kind = verdict.kind if verdict else "none"
        found[kind] += 1
        if tell and kind != "pass":
            print(f"{run.lab}, {step.title}: {kind}: {verdict.reason if verdict else ''}", file=sys.stderr)
    raise AssertionError


def told(found: Counter[str]) -> str:
    return ", ".join([str(found["pass"]), *(f"{count} {kind}" for kind, count in found.items() if kind != "pass")])


@contextlib.contextmanager
def without_waits() -> Iterator[None]:
    with contextlib.ExitStack() as patches:
        # What is wrong is so on purpose, and is to be judged all the same.
        patches.enter_context(mock.patch.object(proofs, "refuse_if_changed", mock.AsyncMock(return_value=None)))
        for owner, name, said in (
            (Mirrored, "_visible", ""),
            (HasLimits, "prove", None),
        ):
            patches.enter_context(mock.patch.object(owner, name, mock.AsyncMock(return_value=said)))
        soon = functools.partialmethod(Mirrored._arrived, late=1.0)
        patches.enter_context(mock.patch.object(Mirrored, "_arrived", soon))
        yield


def target(folder: str) -> Target:
    return describe(from_config({**read_profile(DEFAULT_PROFILE), "state": folder}))


def invoke(*words: str) -> None:
    done = subprocess.run([INVOKE, *words], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}")


if __name__ == "__main__":
    main()
