"""The context is in another kubeconfig file than the one a person's own kubectl looks at: every command that is
suggested does what is meant when it is pasted into any shell. Seen: `kubectl` without `--kubeconfig`.

So everything here is pasted into a shell whose own kubeconfig leads to another cluster (to none), and from a
kubeconfig at a path with blanks and signs that a shell reads. One test reads the source for what was forgotten.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.runs import Recorded
from tests.kit.workshop import invoke
from workshop.kubernetes import rollout
from workshop.kubernetes.cluster_guard import ClusterGuard
from workshop.kubernetes.ingress import Address, Ingress
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.other_clusters import OtherCluster, OtherClusters, on_cluster
from workshop.kubernetes.proofs import exec_check
from workshop.kubernetes.rollout import not_injected
from workshop.kubernetes.typed_commands import for_any_shell, with_context
from workshop.mesh import proxy_stats
from workshop.mesh.analysis import puts_right
from workshop.mesh.fortio import Fortio
from workshop.mesh.istioctl import Istioctl
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Step
from workshop.runbook.results import Check, Difference, Explanation
from workshop.runbook.run import Run
from workshop.settings import ROOT

NAMESPACE = "suggested"
BIN = Path(sys.executable).parent


POD = """
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: suggested, labels: {app: alone}}
spec:
  containers: [{name: alone, image: "docker.io/istio/examples-bookinfo-ratings-v1:1.20.3"}]
"""


@pytest.fixture(scope="module")
def elsewhere(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig for a cluster with a pod that has no sidecar."""
    path = tmp_path_factory.mktemp("there") / "Überstunden $HOME; 'im' Café" / "kube config"
    path.parent.mkdir()
    shutil.copy(kubectl.kubeconfig, path)

    def call(*words: str, stdin: str = "") -> None:
        options = (f"--kubeconfig={path}", "--context=primary")
        subprocess.run([kubectl.binary, *options, *words], input=stdin, text=True, check=True, timeout=60)

    call("create", "namespace", NAMESPACE)
    call("apply", "-f", "-", stdin=POD)
    call("wait", "--for=condition=Ready", "pod/alone", "-n", NAMESPACE)
    return path


@pytest.fixture
def run(kubectl: Kubectl, istioctl: Istioctl, elsewhere: Path, tmp_path: Path) -> Recorded:
    there = replace(kubectl, kubeconfig=elsewhere, cache=tmp_path / "cache")
    return Recorded(there, replace(istioctl, kubeconfig=elsewhere))


def paste(command: str, home: Path, *, path: str = f"{BIN}:{os.environ['PATH']}") -> str:
    """Into a shell that has never heard of the cluster: what it prints, errors too."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env={"HOME": str(home), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    ).stdout


async def suggested_by(failing: object) -> str:
    with pytest.raises(WorkshopError) as failed:
        await failing  # type: ignore[misc]
    return failed.value.next_command


async def what_rollouts_suggest(run: Recorded) -> str:
    wanted = {(NAMESPACE, "nobody"): "1/1"}
    return await suggested_by(rollout.wait(run, run.use(Kubectl), wanted, seconds=0.1))


async def what_a_lacking_sidecar_suggests(run: Recorded) -> str:
    pod = await run.use(Kubectl).get_json("pod", "alone", "-n", NAMESPACE)
    _, following = await not_injected(run.use(Kubectl), pod)
    return following


async def what_a_proof_inside_a_pod_suggests(run: Recorded) -> str:
    proof = exec_check("echo 'no  stars'", "five", NAMESPACE, "alone", "alone", seconds=0.1)
    return await suggested_by(proof.prove(run))


async def what_an_ingress_without_an_address_suggests(run: Recorded) -> str:
    ingress = Ingress("default", "kubernetes", port="nothing", seconds=0.1)
    return await suggested_by(ingress.observe(run))


async def what_an_address_that_is_not_there_suggests(run: Recorded) -> str:
    return await suggested_by(run.observe(Address(Ingress("default", "kubernetes", port="nothing"))))


async def what_fortio_that_is_none_suggests(run: Recorded) -> str:
    return await suggested_by(Fortio(NAMESPACE, "alone", "alone").curl(run, "http://nobody/?a=1&b=2"))


async def what_statistics_suggest(run: Recorded) -> str:
    return proxy_stats._typed(run, NAMESPACE, "alone", "stats?filter=a|b&usedonly")


async def what_a_missing_object_suggests(run: Recorded) -> str:
    return await suggested_by(run.use(Kubectl).call("get", "pod", "nobody", "-n", NAMESPACE))


async def what_an_unknown_kind_suggests(run: Recorded) -> str:
    return await suggested_by(run.use(Kubectl).call("get", "unheardofs"))


async def what_istioctl_suggests(run: Recorded) -> str:
    return await suggested_by(run.use(Istioctl)._call("analyze", "-n", NAMESPACE, "nothing.yaml", seconds=20))


async def what_an_analysis_suggests(run: Recorded) -> str:
    step = puts_right("IST0102", NAMESPACE, _Nothing(), seconds=0.1)
    return await suggested_by(step.verify(run))


class _Nothing(Step):
    title = "Do nothing"

    async def check(self, run: Run) -> Check:
        return Check()

    async def apply(self, run: Run) -> None:
        return

    def explain(self, run: Run) -> Explanation:
        return Explanation()


SAID = [
    (what_rollouts_suggest, "alone "),
    (what_a_lacking_sidecar_suggests, "No resources found"),
    (what_a_proof_inside_a_pod_suggests, "no  stars"),
    (what_an_ingress_without_an_address_suggests, "component=apiserver"),
    (what_an_address_that_is_not_there_suggests, "443/TCP"),
    (what_fortio_that_is_none_suggests, "fortio"),
    (what_statistics_suggest, "container istio-proxy is not valid"),
    (what_a_missing_object_suggests, "pod/alone"),
    (what_an_unknown_kind_suggests, "rolebindings"),
    (what_istioctl_suggests, "No resources found in istio-system"),
    (what_an_analysis_suggests, "IST0102"),
]


@pytest.mark.parametrize(("suggesting", "said"), SAID, ids=lambda value: getattr(value, "__name__", ""))
async def test_what_is_suggested_is_pasted(
    run: Recorded, tmp_path: Path, suggesting: Callable[[Recorded], object], said: str
) -> None:
    command = await suggesting(run)  # type: ignore[misc]
    assert said in paste(command, tmp_path), command


async def test_it_is_pasted_where_no_tool_is_on_the_path(
    run: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = str(tmp_path)
    monkeypatch.setenv("PATH", nothing)
    for command, said in (
        (await what_rollouts_suggest(run), "alone "),
        (await what_istioctl_suggests(run), "No resources found"),
        (await what_an_analysis_suggests(run), "IST0102"),
    ):
        assert said in paste(command, tmp_path, path=nothing), command


async def test_a_step_on_the_other_cluster_suggests_a_command_for_that_one(run: Recorded, tmp_path: Path) -> None:
    class Fails(_Nothing):
        async def check(self, run: Run) -> Check:
            return Check((Difference("something"),))

        async def apply(self, run: Run) -> None:
            await run.use(Kubectl).call("get", "pod", "alone", "-n", "default")

    second = replace(run.use(Kubectl), context="secondary")
    other = OtherCluster("secondary", {Kubectl: second}, ClusterGuard(second, "secondary", disposable=True))
    there = Recorded(*run.toolbox.values(), OtherClusters({"secondary": other}))
    others = there.use(OtherClusters)
    async with others.hold():
        await other.guard.adopt()
        command = await suggested_by(on_cluster("secondary", Fails()).apply(there))
    assert "--context=secondary" in command
    assert "kubernetes" in paste(command, tmp_path)


def test_options_come_where_a_tool_is_called(tmp_path: Path) -> None:
    def typed(command: str) -> str:
        return for_any_shell(command, "kubectl", "/opt/my tools/kubectl", Path("/a b"), "it's").replace(
            "'/opt/my tools/kubectl'", "kubectl"
        )

    options = """'--kubeconfig=/a b' '--context=it'"'"'s'"""
    assert typed("kubectl get pods") == f"kubectl {options} get pods"
    assert typed("A=$(kubectl get pods)") == f"A=$(kubectl {options} get pods)"
    assert typed("echo kubectl get") == "echo kubectl get"
    assert typed("kubectl apply -f - <<EOF\nkubectl get\nEOF").count("--context") == 1
    assert with_context("kubectl get pods", "a b") == "kubectl --context 'a b' get pods"


def test_what_an_explanation_says_to_type_is_pasted(elsewhere: Path, tmp_path: Path) -> None:
    """With the context in another kubeconfig file than the shell's, which is not the current one there either."""
    own = tmp_path / "own config"
    content = json.loads(elsewhere.read_text())
    own.write_text(json.dumps({**content, "current-context": "secondary"}))
    chosen = {"TARGET": "cluster", "CLUSTER_CONTEXT": "primary", "CLUSTER_KUBECONFIG": str(own)}
    variables = {f"INVOKE_{name}": value for name, value in {**chosen, "STATE": str(tmp_path / "state")}.items()}
    said = invoke("lab.istio.inject", "--explain", **variables).said
    first, _, rest = said.partition("## istio.inject")
    typed = re.findall(r"(?ms)^```sh\n(.*?)^```$", first)
    assert len(typed) == 1
    assert "kubectl label namespace primary bookinfo" in rest
    there = paste(
        "\n".join([*typed, "kubectl get namespaces -o name | cat; A=$(kubectl get pods -A); echo $A"]), tmp_path
    )
    assert f"namespace/{NAMESPACE}" in there
    assert "alone" in there
    assert "alone" not in paste("\n".join([*typed, "kubectl --context secondary get pods -A"]), tmp_path)


def sources() -> Iterator[Path]:
    for folder in ("workshop", "labs"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_no_suggestion_names_a_tool_without_saying_for_which_cluster() -> None:
    """The words of a `next_command`, as the source has them."""
    forgotten = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "next_command":
                words = node.value
                if isinstance(words, ast.JoinedStr) and words.values:
                    words = words.values[0]
                text = words.value if isinstance(words, ast.Constant) else ""
                if isinstance(text, str) and text.startswith(("kubectl ", "istioctl ", "invoke ")):
                    forgotten.append(f"{path.relative_to(ROOT)}: {text}")
    assert not forgotten


COMMAND = re.compile(
    r"(\{|$|SHELL=|(az|cat|chmod|curl|df|du|echo|export|git|invoke|istioctl|kill|kubectl|ls|mkdir|mv|pip|ps|python3?|rm|ss|sudo|"
    r"source|tail|unset)\b)(?!.*(, then |\(now ))"
)
"""What can be pasted; a text that begins with a value is taken for one."""


def test_what_is_next_is_a_command_and_advice_is_in_the_cause() -> None:
    """Seen: "az account list-locations --output table, then set azure.location (now northeurop)"."""
    advice = []
    for path in sources():
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            given = [keyword.value for keyword in call.keywords if keyword.arg == "next_command"]
            if isinstance(call.func, ast.Name) and call.func.id == "Finding":
                given += call.args[3:4]
            texts = [value for value in given if isinstance(value, ast.Constant | ast.JoinedStr)]
            shown = [ast.unparse(text).removeprefix("f").strip("\"'") for text in texts]
            advice += [f"{path.name}:{call.lineno} {text}" for text in shown if not COMMAND.match(text)]
    assert not advice
