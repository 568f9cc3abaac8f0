"""Runs cases on a target, many at once: what is sent together is sent by one program.

Rules take their time to be everywhere, so a step is tried until it holds, within the target's patience. Requests of
all cases go round by round; a case holds once all of its requests were answered as it says in three rounds one
after the other, for the first may have been luck."""

from __future__ import annotations

import itertools
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tests.kit.cases import content_of

from .answers import Answer, answer_of, difference_of
from .expectations import printed_as_expected
from .schema import Case, Step, filled, objects
from .target import Target

ROUNDS = 3
SHARED = Path(__file__).parent / "shared.yaml"
READING = ("get", "describe", "logs", "exec", "events", "analyze", "proxy-status", "proxy-config", "x", "version")
"""Commands that change nothing, and so are repeated until they print what is expected."""

WITH_PODS = ("CronJob", "Deployment", "Job", "Pod")
SETTLE_SECONDS = 120.0

_marks = itertools.count(1)


class Runner:
    def __init__(self, target: Target, images: Mapping[str, str], run: str) -> None:
        self.target = target
        self.namespaces = {name: f"conformance-{run}-{name}" for name in ("mesh", "other", "plain")}
        self.names = {**self.namespaces, **images}
        self.own: list[str] = []
        """Namespaces of single cases."""
        self._pool = ThreadPoolExecutor(8)

    def names_of(self, case: Case) -> dict[str, str]:
        """A case of requests lives among the shared workloads, one of dry runs in a namespace that nothing is in,
        and any other has a namespace of its own."""
        if any(step.action == "request" for step in case.steps):
            namespace = self.namespaces["mesh"]
        elif case.only("try"):
            namespace = self.namespaces["plain"]
        else:
            namespace = f"{self.namespaces['mesh']}-{case.name}"
        fqdn = f"{case.name}.{namespace}.svc.cluster.local"
        return {**self.names, "ns": namespace, "host": case.name, "fqdn": fqdn, "domain": f"{case.name}.example"}

    # The world around the cases

    def begin(self, cases: Sequence[Case]) -> None:
        """Everything that cases share, and the namespaces that they have for themselves."""
        own = {names["ns"] for case in cases if (names := self.names_of(case))} - set(self.namespaces.values())
        self.own = sorted(own)
        injected = {"istio-injection": "enabled"}
        spaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            for name, labels in (
                (self.namespaces["mesh"], injected),
                (self.namespaces["other"], injected),
                (self.namespaces["plain"], {"istio-injection": "disabled"}),
                *((name, injected) for name in self.own),
            )
        ]
        self.target.ask("create", "-f", "-", stdin=yaml.safe_dump_all(spaces))
        shared = content_of(SHARED)
        self.target.ask("create", "-f", "-", stdin=yaml.safe_dump_all(filled([*objects(shared)], self.names)))
        waits = [
            ("wait", "--for=condition=Ready", "pod/client", "-n", name) for name in self.namespaces.values()
        ] + [("rollout", "status", f"deploy/echo-{v}", "-n", self.namespaces["mesh"]) for v in ("v1", "v2")]
        list(self._pool.map(lambda wait: self.target.ask(*wait, "--timeout=180s"), waits))

    def end(self) -> None:
        """Remove all of it, unless it ends with its sandbox; that the namespaces are gone is waited for."""
        if not self.target.is_sandbox:
            self.target.run("kubectl", ["delete", "namespace", *self.namespaces.values(), *self.own])
        self._pool.shutdown()

    # Cases

    def run(self, cases: Sequence[Case]) -> dict[str, str]:
        """What became of each, by its id. First those that live together, then those with a namespace of their own,
        and of these last the ones with pods: what all proxies know of each other is the product of proxies and
        services, and each has its price."""
        self.begin(cases)
        alone = [case for case in cases if self.names_of(case)["ns"] in self.own]
        crowded = [case for case in alone if any(obj["kind"] in WITH_PODS for obj in case.given)]
        stages = [
            [case for case in cases if case not in alone],
            [case for case in alone if case not in crowded],
            crowded,
        ]
        outcomes: dict[str, str] = {}
        for stage in filter(None, stages):
            outcomes |= self._run(stage)
            given = [obj for case in stage for obj in filled(case.given, self.names_of(case))]
            if given and stage is not stages[-1]:
                arguments = ["delete", "-f", "-", "--ignore-not-found", "--wait=false"]
                self.target.run("kubectl", arguments, yaml.safe_dump_all(given))
        return outcomes

    def _settle(self) -> None:
        """Wait until a rule that was made last is in effect, so that what is slow to take in all those before it is
        not taken for what does otherwise."""
        name, mark = "settled", f"settled-{next(_marks)}"
        body = {"directResponse": {"status": 200, "body": {"string": mark}}}
        ports = [{"name": "http", "port": 8000, "targetPort": 8080}]
        rule: list[Any] = [
            {f"Service $mesh/{name}": {"selector": {"app": "echo"}, "ports": ports}},
            {f"VirtualService $mesh/{name}": {"hosts": [name], "http": [body]}},
        ]
        self.target.send({name: filled([*objects(rule)], self.names)}, "apply")
        curl = ["curl", "-s", "-m", "5", f"http://{name}:8000/"]
        exec_ = ["exec", "-n", self.namespaces["mesh"], "client", "-c", "curl", "--", *curl]
        deadline, pause = time.monotonic() + SETTLE_SECONDS, 0.05
        while (answered := self.target.run("kubectl", exec_).out) != mark:
            if time.monotonic() > deadline:
                raise RuntimeError(f"a rule is not in effect after {SETTLE_SECONDS} s: {mark}, but {answered!r}")
            time.sleep(pause := min(pause * 1.5, 1.0))

    def _run(self, cases: Sequence[Case]) -> dict[str, str]:
        given = {case.name: filled(case.given, self.names_of(case)) for case in cases if case.given}
        refused = self.target.send(given, "create")
        self._settle()
        outcomes = {case.id: refused[case.name] for case in cases if case.name in refused}
        todo = [replace(case, steps=filled_steps(case, self.names_of(case))) for case in cases]
        todo = [case for case in todo if case.id not in outcomes]
        tries = [case for case in todo if case.only("try")]
        requests = [case for case in todo if case.only("request")]
        others = [case for case in todo if case not in tries and case not in requests]
        running = [self._pool.submit(self._in_order, case) for case in others]
        outcomes |= self._tried(tries)
        outcomes |= self._asked(requests)
        outcomes |= {case.id: future.result() for case, future in zip(others, running, strict=True)}
        return outcomes

    def _in_order(self, case: Case) -> str:
        for action, group in itertools.groupby(case.steps, key=lambda step: step.action):
            steps = tuple(group)
            match action:
                case "request":
                    wrong = self._asked([replace(case, steps=steps)])[case.id]
                case "apply":
                    wrong = self.target.send({case.name: [each for s in steps for each in s.what]}, "apply").get(
                        case.name, ""
                    )
                case "try":
                    wrong = self._tried([replace(case, steps=steps)])[case.id]
                case _:
                    patience = self._patience(case)
                    wrong = next(filter(None, (self._command(step, patience) for step in steps)), "")
            if wrong:
                return wrong
        return ""

    def _tried(self, cases: Sequence[Case]) -> dict[str, str]:
        """What the API server and its webhooks say of objects, that is, of each step's."""
        steps = {f"{case.name}-{n}": (case, step) for case in cases for n, step in enumerate(case.steps)}
        said = self.target.send(
            {name: step.what for name, (_, step) in steps.items()}, "create", "--dry-run=server"
        )
        outcomes = dict.fromkeys((case.id for case in cases), "")
        for name, (case, step) in steps.items():
            words, found = step.expected.get("refused"), said.get(name, "")
            if (words or "") not in " ".join(found.split()) or bool(words) != bool(found):
                said_of = f"says: {found or 'nothing'}\nexpected: {words or 'nothing'}"
                outcomes[case.id] = f"{step.what}\n{said_of}"
        return outcomes

    def _patience(self, case: Case) -> float:
        """Seconds. For what is known to differ no long time is spent on the proof that it still does."""
        return min(self.target.patience, 2.0) if case.differs and self.target.is_sandbox else self.target.patience

    def _command(self, step: Step, patience: float) -> str:
        """Why a command's step does not hold. One that only reads is repeated until it does."""
        arguments = shlex.split(step.what)
        deadline, pause = time.monotonic() + patience * (arguments[0] in READING), 0.05
        stdin = step.expected.get("stdin", "")
        text = stdin if isinstance(stdin, str) else yaml.safe_dump_all(stdin)
        while True:
            done = self.target.run(step.action, arguments, text)
            wrong = printed_as_expected(step.expected, done.status, done.out, done.err)
            if not wrong or time.monotonic() > deadline:
                return wrong and f"{step.action} {step.what}\n{wrong}"
            time.sleep(pause := min(pause * 1.5, 1.0))

    # Requests

    def _asked(self, cases: Sequence[Case]) -> dict[str, str]:
        """Why cases do not hold, by their ids. One that only waits has rounds of its own, to keep nobody."""
        slow = [[case] for case in cases if any("takes" in step.expected for step in case.steps)]
        quick = [case for case in cases if [case] not in slow]
        with ThreadPoolExecutor(len(slow) + 1) as pool:
            return {id: wrong for found in pool.map(self._rounds, (*slow, quick)) for id, wrong in found.items()}

    def _rounds(self, cases: Sequence[Case]) -> dict[str, str]:
        held: Counter[str] = Counter()
        wrong: dict[str, str] = {}
        begun = time.monotonic()
        left, pause = list(cases), 0.02
        while left:
            wrong |= self._round(left)
            if any(wrong[case.id] for case in left):
                time.sleep(pause := min(pause * 1.5, 1.0))
            for case in left:
                held[case.id] = held[case.id] + 1 if not wrong[case.id] else 0
            passed = time.monotonic() - begun
            left = [c for c in left if held[c.id] < ROUNDS and not (wrong[c.id] and passed > self._patience(c))]
        return wrong

    def _round(self, cases: Sequence[Case]) -> dict[str, str]:
        """Send all requests of these cases once; of each case, what was not as expected."""
        sent = [(case, step, f"t{next(_marks)}t") for case in cases for step in case.steps]
        by_place: dict[str, list[tuple[Step, str, str]]] = {}
        for case, step, mark in sent:
            place = step.expected.get("from", "client")
            by_place.setdefault(place, []).append((step, mark, case.name))
        answers: dict[str, list[Answer]] = {}
        for place, steps in by_place.items():
            answers |= self._outside(steps) if place == "outside" else self._from_pod(place, steps)
        logs = self._logs() if any("arrived" in step.expected for _, step, _ in sent) else {}
        wrong = dict.fromkeys((case.id for case in cases), "")
        for case, step, mark in sent:
            arrived = {version: sum(mark in line for line in lines) for version, lines in logs.items()}
            difference = difference_of(step.expected, answers.get(mark, []), arrived)
            if difference:
                wrong[case.id] += f"{step.what} {dict(step.expected)}\n{difference}\n"
        return wrong

    def _from_pod(self, place: str, steps: Iterable[tuple[Step, str, str]]) -> dict[str, list[Answer]]:
        lines = []
        for step, mark, host in steps:
            method, path, headers, data = request_of(step, mark)
            curl = ["curl", "-s", "-i", "-m", "15", "-w", f"\\n@@{mark} %{{time_total}}\\n"]
            curl += ["-I"] if method == "HEAD" else ["-X", method] if method != "GET" else []
            curl += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
            curl += ["-d", data] if data is not None else []
            authority = step.expected.get("host", f"{host}:8000")
            line = shlex.join([*curl, f"http://{authority}{path}"])
            lines += [line] * step.expected.get("times", 1)
        namespace = self.namespaces["mesh" if place == "client" else place]
        script = "\n".join(lines) + "\n"
        done = self.target.run(
            "kubectl", ["exec", "-i", "-n", namespace, "client", "-c", "curl", "--", "sh"], script
        )
        found: dict[str, list[Answer]] = {}
        text, at = done.out, 0
        for end in re.finditer(r"\n@@(\w+) ([\d.]+)\n", text):
            found.setdefault(end[1], []).append(answer_of(text[at : end.start()], float(end[2])))
            at = end.end()
        return found

    def _outside(self, steps: Iterable[tuple[Step, str, str]]) -> dict[str, list[Answer]]:
        def ask(item: tuple[Step, str, str]) -> tuple[str, list[Answer]]:
            step, mark, host = item
            method, path, headers, data = request_of(step, mark)
            headers = {"Host": step.expected.get("host", f"{host}.example"), **headers}
            found = []
            for _ in range(step.expected.get("times", 1)):
                begun = time.monotonic()
                status, lines, body = self.target.outside(method, path, headers, data)
                named = {name.lower(): value for name, value in lines}
                found.append(Answer(status, named, body, time.monotonic() - begun))
            return mark, found

        return dict(map(ask, steps))

    def _logs(self) -> dict[str, list[str]]:
        """What the echoes were asked, by version."""
        return {
            version: self.target.ask(
                *("logs", "-n", self.namespaces["mesh"], f"deploy/echo-{version}", "-c", "echo", "--tail=-1")
            ).splitlines()
            for version in ("v1", "v2")
        }


def filled_steps(case: Case, names: Mapping[str, str]) -> tuple[Step, ...]:
    def of(step: Step) -> Step:
        what = list(objects(step.what)) if step.action in ("try", "apply") else step.what
        stdin = step.expected.get("stdin", "")
        given = {} if isinstance(stdin, str) else {"stdin": list(objects(stdin))}
        return Step(step.action, filled(what, names), filled({**step.expected, **given}, names))

    return tuple(map(of, case.steps))


def request_of(step: Step, mark: str) -> tuple[str, str, dict[str, str], str | None]:
    """Method, path, headers and body. Requests that are counted on arrival carry a mark in their query."""
    method, _, path = step.what.rpartition(" ")
    if "arrived" in step.expected:
        path += f"{'&' if '?' in path else '?'}mark={mark}"
    return method or "GET", path, step.expected.get("headers", {}), step.expected.get("data")
