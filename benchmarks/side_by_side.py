"""The workshop beside other tools, and where its cost comes from; makes the tables of this folder's README.

    python benchmarks/side_by_side.py [--runs 5] [--tools FOLDER] [TABLE ...]

The tables are `nothing`, `foreign`, `line` and `clones`; all of them where none is named. What runs is this
checkout, by public commands only. doit and Ansible are looked for in FOLDER (a `bin` of a venv of their own: `pip
install doit ansible kubernetes`) and on PATH; a row whose tool is not there is left out, and says so. Figures are
medians of `--runs`, the rows taken in turn (a b c a b c ...), each from a sandbox of its own with nothing left from
before.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import yaml  # noqa: E402
from bench import BIN, Place, Taken, kubectl_processes, middle, place, resident  # noqa: E402
from between import Counter, led_through  # noqa: E402
from page import WITH_HELM, PageStep, by_hand, in_the_end, steps_of  # noqa: E402

from labs import RUNBOOK  # noqa: E402

LABS = tuple(
    f"lab.{lab.name}"
    for lab in RUNBOOK.labs
    if lab.group == "istio" and not lab.undoes and lab.name not in WITH_HELM
)
UNPROVED = ("--search-root", "benchmarks/unproved")
WAIT = ("wait", "--for=condition=Available", "deployment", "--all", "-A", "--timeout=300s")
CONVERGED = "a run would change nothing"
FOREIGN = (0, 1000, 5000)
CLONES = 10

_AS_PINNED = """case $1 in version) "$REAL" "$@" | sed s/-sandbox//g ;; *) exec "$REAL" "$@" ;; esac"""
"""An istioctl of the version that a cluster asks for; the sandbox's own says where it is from."""


@dataclass(frozen=True)
class Bench:
    folder: Path
    runs: int
    tools: str
    steps: list[PageStep]

    @property
    def installing(self) -> str:
        return by_hand(*(step.script for step in self.steps if step.installs))

    @property
    def working(self) -> list[PageStep]:
        return [step for step in self.steps if not step.installs]

    @property
    def page(self) -> str:
        return by_hand(*(step.script for step in self.working))

    def tool(self, name: str) -> str | None:
        return shutil.which(name, path=f"{self.tools}:{BIN}:{os.environ['PATH']}")

    def ready(self, here: Place) -> None:
        """Both clusters, with Istio installed, and nothing else."""
        here.invoke("sandbox.up")
        here.run(["bash"], stdin=self.installing)


@dataclass(frozen=True)
class Row:
    """`prepare` writes what `run` needs, which is not timed; `skipped` is why there is no row."""

    name: str
    run: Callable[[Bench, Place], Taken]
    prepare: Callable[[Bench, Place], None] = lambda bench, here: None
    skipped: Callable[[Bench], str] = lambda bench: ""


def doit(bench: Bench, here: Place) -> Taken:
    command = [str(bench.tool("doit")), "-n", "4", "-f", "benchmarks/dodo.py", "--db-file", str(here.folder / "db")]
    command[1:1] = ["run"]
    return here.run(command, more={"BENCHMARK_STEPS": str(here.folder / "steps.json")})


def write_tasks(bench: Bench, here: Place) -> None:
    names = {step.name for step in bench.working}
    before = {step.name: step.after for step in bench.steps}

    def after(name: str) -> list[str]:
        """Where one of the steps is left out, those it waited for."""
        return [other for one in before[name] for other in ([one] if one in names else after(one))]

    tasks = [
        {"name": step.name, "script": by_hand(step.script), "after": after(step.name)} for step in bench.working
    ]
    (here.folder / "steps.json").write_text(json.dumps(tasks))


def write_objects(bench: Bench, here: Place) -> None:
    """All that the page leaves, a file for each cluster."""
    service = ("get", "service", "istio-ingressgateway", "-n", "istio-system", "-o")
    paths = {
        "$SECONDARY_HOST": "{.status.loadBalancer.ingress[0].ip}",
        "$SECONDARY_PORT": '{.spec.ports[?(@.name=="http2")].port}',
    }
    known = {
        name: here.run(["kubectl", "--context", "secondary", *service, f"jsonpath={path}"]).said
        for name, path in paths.items()
    }
    for context, objects in in_the_end(bench.working).items():
        text = yaml.safe_dump_all(objects)
        for name, value in known.items():
            text = text.replace(f"'{name}'", value).replace(name, value)
        (here.folder / f"{context}.yaml").write_text(text)


def apply_once(bench: Bench, here: Place) -> Taken:
    script = "\n".join(
        f"kubectl --context {context} {words}"
        for context in ("secondary", "primary")
        for words in (f"apply -f {here.folder / context}.yaml", " ".join(WAIT))
    )
    return here.run(["bash", "-e"], stdin=script)


def bash(bench: Bench, here: Place) -> Taken:
    return here.run(["bash"], stdin=bench.page)


def invoke_unproved(bench: Bench, here: Place) -> Taken:
    return here.invoke(*UNPROVED, *LABS)


def invoke_proved(bench: Bench, here: Place) -> Taken:
    return here.invoke(*LABS, may_fail=True)


def write_playbook(bench: Bench, here: Place) -> None:
    """A task for each step that applies, with its objects, and the namespaces labelled from the first on."""
    write_objects(bench, here)  # which has labelled the page's namespaces
    final = {
        (context, each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for context in ("primary", "secondary")
        for each in yaml.safe_load_all((here.folder / f"{context}.yaml").read_text())
    }
    tasks: list[dict[str, Any]] = []
    for step in bench.working:
        for context in ("secondary", "primary"):
            objects = [
                final[context, "ServiceEntry", each["metadata"]["namespace"], each["metadata"]["name"]]
                if each["kind"] == "ServiceEntry"
                else each
                for there, each in step.objects
                if there == context
            ]
            if objects:
                given = {"state": "present", "apply": True, "wait": True, "wait_timeout": 300, "context": context}
                tasks.append({"name": step.name, "kubernetes.core.k8s": {**given, "definition": objects}})
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (here.folder / "play.yaml").write_text(yaml.safe_dump([play], sort_keys=False))


def ansible(bench: Bench, here: Place) -> Taken:
    command = [str(bench.tool("ansible-playbook")), "-i", "localhost,", str(here.folder / "play.yaml")]
    interpreter = str(Path(str(bench.tool("ansible-playbook"))).parent / "python")
    more = {
        "K8S_AUTH_KUBECONFIG": str(here.through or here.kubeconfig),
        "ANSIBLE_PYTHON_INTERPRETER": interpreter,
        "LC_ALL": "C.UTF-8",
    }
    return here.run([*command, "-e", f"ansible_python_interpreter={interpreter}"], more=more)


def without(*tools: str) -> Callable[[Bench], str]:
    return lambda bench: ", ".join(f"{name} is not installed" for name in tools if not bench.tool(name))


DOIT = Row("a task runner with four workers around kubectl (doit -n4)", doit, write_tasks, without("doit"))
APPLY = Row("one `kubectl apply` of everything and one wait, for each cluster", apply_once, write_objects)
BASH = Row("bash and kubectl, one after the other, as the page has it", bash)
UNPROVED_ROW = Row("`invoke lab.istio`, its proofs cut out", invoke_unproved)
ANSIBLE = Row("Ansible `kubernetes.core.k8s`, waiting", ansible, write_playbook, without("ansible-playbook"))
PROVED = Row("`invoke lab.istio` with its proofs", invoke_proved)
ROWS = (DOIT, APPLY, BASH, UNPROVED_ROW, ANSIBLE, PROVED)


@dataclass
class Figures:
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def add(self, taken: Taken) -> None:
        self.seconds.append(taken.seconds)
        self.cpu.append(taken.cpu)
        self.statuses.append(taken.status)
        if told := re.search(r"delays on purpose (\d+\.\d)", taken.said):
            self.delays.append(float(told[1]))


def nothing(bench: Bench) -> None:
    """From nothing: both clusters ready and Istio installed."""
    rows = [row for row in ROWS if not row.skipped(bench)]
    figures = {row.name: Figures() for row in rows}
    for number in range(bench.runs):
        for row in rows:
            with place(bench.folder, f"{number}") as here:
                bench.ready(here)
                row.prepare(bench, here)
                taken = row.run(bench, here)
                figures[row.name].add(taken)
                _tell(bench, number, row, taken)
                if not taken.status:
                    _refuse_unlike(row, here)
    counted = {row.name: count(bench, row) for row in rows}
    objects = sum(map(len, in_the_end(bench.working).values()))
    print(f"\n| from nothing, {objects} objects | seconds | processor s | kubectl | API requests |\n|{'---|' * 5}")
    for row in ROWS:
        if why := row.skipped(bench):
            print(f"(no row: {row.name}: {why})", file=sys.stderr)
            continue
        found, (processes, requests) = figures[row.name], counted[row.name]
        late = f" ({middle(found.delays)} s of them delays on purpose)" if found.delays else ""
        odd = [status for status in found.statuses if status]
        ended = f"; exit statuses {odd}" if odd else ""
        took = f"{middle(found.seconds)} | {middle(found.cpu)}"
        print(f"| {row.name}{late}{ended} | {took} | {processes} | {requests} |", flush=True)


def _tell(bench: Bench, number: int, row: Row, taken: Taken) -> None:
    """How far it is, beside the tables."""
    print(f"{number + 1} of {bench.runs}: {row.name}: {taken.seconds:.1f} s, {taken.cpu:.1f} s", file=sys.stderr)


def _refuse_unlike(row: Row, here: Place) -> None:
    """What another tool has made has to be what the labs would have."""
    said = here.invoke(*UNPROVED, *LABS, "--plan", may_fail=True).said
    if CONVERGED not in said:
        sys.exit(f"after {row.name}, the labs would change something:\n{said}")


def count(bench: Bench, row: Row) -> tuple[int, int]:
    """kubectl processes and requests to the API of one more run, which is not timed."""
    with place(bench.folder, "counted") as here:
        bench.ready(here)
        row.prepare(bench, here)
        log = here.folder / "kubectl.log"
        log.touch()
        with behind(here) as (there, counters):
            if row.run in (invoke_unproved, invoke_proved):
                search = UNPROVED if row.run is invoke_unproved else ()
                said = there.invoke("--echo", *search, *LABS, may_fail=True).said
                processes = kubectl_processes(said)
            else:
                there.stand_in("kubectl", f'echo >> {shlex.quote(str(log))}\nexec "$REAL" "$@"')
                row.run(bench, there)
                processes = len(log.read_text().splitlines())
        return processes, sum(counter.requests for counter in counters)


@contextlib.contextmanager
def behind(here: Place, *, slow: bool = False) -> Iterator[tuple[Place, list[Counter]]]:
    """The same place with a slow line before its clusters, or a counter. The workshop takes no other way into its
    sandbox than the sandbox's, so there its target is `cluster`, with what the sandbox has of its own."""
    through, profile = here.folder / "through.yaml", here.folder / "cluster.yaml"
    default = yaml.safe_load((ROOT / "config" / "sandbox.yaml").read_text())
    settings = {
        "target": "cluster",
        "cluster": {"context": "primary", "secondary": "secondary", "kubeconfig": str(through)},
        "images": default["sandbox"]["images"],
    }
    profile.write_text(yaml.safe_dump(settings))
    here.stand_in("istioctl", _AS_PINNED)
    with led_through(here.kubeconfig, through, slow=slow) as counters:
        there = Place(here.folder, profile, through)
        there.invoke("adopt", "--yes")
        for counter in counters:
            counter.requests = 0
        yield there, counters


def foreign(bench: Bench) -> None:
    """Beside what others have in the cluster."""
    print("\n| foreign objects | converged run | `--plan` | `lab.istio.canary --plan` | sandbox, memory |")
    print(f"|{'---|' * 5}")
    with place(bench.folder, "foreign") as here:
        here.invoke(*UNPROVED, *LABS)
        there = 0
        for wanted in FOREIGN:
            make_foreign(here, there, wanted)
            there = wanted
            times: dict[tuple[str, ...], list[float]] = {
                words: [] for words in (LABS, (*LABS, "--plan"), ("lab.istio.canary", "--plan"))
            }
            for _ in range(bench.runs):
                for words, found in times.items():
                    found.append(here.invoke(*words).seconds)
            pid = json.loads((here.kubeconfig.parent / "server.json").read_text())["pid"]
            cells = " | ".join(f"{middle(found, 2)} s" for found in times.values())
            print(f"| {wanted:,} | {cells} | {sum(resident(pid)):.0f} MB |", flush=True)


def make_foreign(here: Place, first: int, last: int) -> None:
    """In namespaces of others: of twenty, ten ConfigMaps, five Services, and five Deployments, one in fifty with a
    pod."""
    documents = [_foreign(number) for number in range(first, last)]
    if first == 0 and documents:
        spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"others-{n}"}} for n in range(10)]
        here.run(["kubectl", "create", "-f", "-"], stdin=yaml.safe_dump_all(spaces))
    batches = [documents[start : start + 250] for start in range(0, len(documents), 250)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in pool.map(
            lambda batch: here.run(["kubectl", "create", "-f", "-"], stdin="\n---\n".join(map(json.dumps, batch))),
            batches,
        ):
            pass
    here.run(["kubectl", *WAIT])


def _foreign(number: int) -> dict[str, Any]:
    name = f"foreign-{number}"
    metadata = {"name": name, "namespace": f"others-{number % 10}", "labels": {"app": name}}
    kind = number % 4
    if kind < 2:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value" * 20}}
    if kind == 2:
        spec: dict[str, Any] = {"selector": {"app": name}, "ports": [{"port": 80, "name": "http"}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    pod = {"containers": [{"name": "web", "image": "curlimages/curl:8.16.0", "command": ["sleep", "infinity"]}]}
    spec = {
        "replicas": int(number % 200 == 3),
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _said(words: Iterable[str]) -> str:
    return " ".join(words).replace(" ".join(LABS), "lab.istio")


def line(bench: Bench) -> None:
    """The API behind a line of 100 ms (a round trip) and 10 Mbit/s."""
    rows = (APPLY, BASH, UNPROVED_ROW)
    again: dict[str, Callable[[Place], Taken]] = {
        **{
            f"converged: `invoke {_said(words)}`": partial(_again, words)
            for words in (LABS, (*LABS, "--plan"), ("lab.istio.canary", "--plan"))
        },
        "converged: bash and kubectl, the page once more": lambda here: bash(bench, here),
    }
    figures = {name: Figures() for name in (*(row.name for row in rows), *again)}
    for number in range(bench.runs):
        for row in rows:
            with place(bench.folder, f"line-{number}") as here:
                bench.ready(here)
                row.prepare(bench, here)
                with behind(here, slow=True) as (there, _):
                    taken = row.run(bench, there)
                    figures[row.name].add(taken)
                    _tell(bench, number, row, taken)
                    if row is UNPROVED_ROW:
                        for name, run in again.items():
                            figures[name].add(run(there))
    print("\n| over a line of 100 ms and 10 Mbit/s, nothing proved | seconds | processor s |\n|---|---|---|")
    for name, found in figures.items():
        print(f"| {name} | {middle(found.seconds)} | {middle(found.cpu)} |", flush=True)


def _again(words: tuple[str, ...], here: Place) -> Taken:
    return here.invoke(*UNPROVED, *words)


def clones(bench: Bench) -> None:
    """Several on one machine at once, as in a class."""
    places = [Place(bench.folder / f"clone-{number}") for number in range(CLONES)]
    try:
        with concurrent.futures.ThreadPoolExecutor(CLONES) as pool:
            started = list(pool.map(lambda here: here.invoke("sandbox.up").seconds, places))
            before = list(pool.map(lambda here: here.invoke(*UNPROVED, "lab.istio.identity").seconds, places))
            ran = list(pool.map(lambda here: here.invoke("lab.istio.fault", may_fail=True), places))
        pids = [json.loads((here.kubeconfig.parent / "server.json").read_text())["pid"] for here in places]
        memory = [sum(resident(pid)) for pid in pids]
    finally:
        for here in places:
            here.invoke("sandbox.down", "--yes", may_fail=True)
            shutil.rmtree(here.folder, ignore_errors=True)
    statuses = [taken.status for taken in ran]
    print(f"\n| {CLONES} at once on one machine | |\n|---|---|")
    print(f"| start of a sandbox | {middle(started)} s |")
    print(f"| `lab.istio.identity` from nothing, its proofs cut out | {middle(before)} s |")
    print(f"| `lab.istio.fault` in all | {middle([taken.seconds for taken in ran])} s |")
    print(f"| verdicts | {_verdicts(statuses)} |")
    print(f"| memory of each | {middle(memory, 0)} MB |", flush=True)
    for taken in ran:
        if taken.status not in (0, 3):
            print(taken.said, file=sys.stderr)


def _verdicts(statuses: Iterable[int]) -> str:
    found = list(statuses)
    words = {0: "right", 1: "wrong", 3: "inconclusive"}
    said = [f"{found.count(status)} {word}" for status, word in words.items()]
    others = [status for status in found if status not in words]
    return ", ".join(said) + (f", other exit statuses {others}" if others else "")


TABLES: dict[str, Callable[[Bench], None]] = {table.__name__: table for table in (nothing, foreign, line, clones)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tables", nargs="*", choices=[[], *TABLES], metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tools", default="", help="the folder that doit and ansible-playbook are in")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with place(folder, "page") as here:
            page = here.invoke("lab.istio", "--explain").said
        bench = Bench(folder, asked.runs, asked.tools, steps_of(page))
        for table in asked.tables or TABLES:
            TABLES[table](bench)


if __name__ == "__main__":
    main()
