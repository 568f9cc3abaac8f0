"""Commands on the screen do in a shell what they are; what a step told fits a terminal, and no word of it is torn apart."""

# ruff: noqa: E501 - tables as they are

from __future__ import annotations

import re
import subprocess

import pytest
from rich.cells import cell_len

from tests.kit.screens import bare, rendered
from workshop.console.verbatim import Commands, told_lines

ROOM = 74
"""Of 80 columns, what is left beside a step's indentation."""

PODS = """\
NAME                                    READY   STATUS    RESTARTS       AGE     IP            NODE    NOMINATED NODE   READINESS GATES
istio-ingressgateway-7d5879b8df-vjssm   1/1     Running   1 (3m2s ago)   4m55s   10.244.0.69   node1   <none>           <none>
istiod-6899bf798-jx7q7                  1/1     Running   0              4m59s   10.244.0.68   node1   <none>           <none>"""

SERVICES = """\
NAME                          TYPE           CLUSTER-IP   EXTERNAL-IP    PORT(S)                                      AGE
istio-ingressgateway          LoadBalancer   10.2.0.40    172.31.0.137   15021:32373/TCP,80:30156/TCP,443:32070/TCP   4m55s
istiod                        ClusterIP      10.2.0.159   <none>         15010/TCP,15012/TCP,443/TCP,15014/TCP        4m59s"""

NAMESPACES = """\
NAME           STATUS   AGE     LABELS
bookinfo       Active   4m51s   app.kubernetes.io/part-of=mesh-workshop,istio-injection=enabled,kubernetes.io/metadata.name=bookinfo
default        Active   50m     kubernetes.io/metadata.name=default"""

EVENTS = """\
LAST SEEN   TYPE     REASON      OBJECT                                 MESSAGE
4m39s       Normal   Scheduled   pod/productpage-v1-5d6b5cf55c-xh5hf    Successfully assigned bookinfo/productpage-v1-5d6b5cf55c-xh5hf to node1"""

NODES = """\
primary
NAME                                STATUS   ROLES    AGE     VERSION
aks-akssyspool-38233018-vmss000000  Ready    <none>   3m20s   v1.36.1"""

ANALYSIS = """\
Warning [IST0103] (Pod ratingsapp/ratings-api-6744c77784-g5t8k) The pod ratingsapp/ratings-api-6744c77784-g5t8k is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload."""

TABLES = {"pods": PODS, "services": SERVICES, "namespaces": NAMESPACES, "events": EVENTS, "nodes": NODES}
"""As a real cluster showed them: shared/real/kubectl/get-pods-wide.txt, get-services.txt, get-namespaces-labels.txt
and events-bookinfo.txt; AKS's names of nodes."""


def told(text: str, room: int = ROOM) -> list[str]:
    return list(told_lines(text, room))


@pytest.mark.parametrize("room", [54, ROOM, 94, 104, 134, 154, 250])
@pytest.mark.parametrize("text", [*TABLES.values(), ANALYSIS], ids=[*TABLES, "analysis"])
def test_no_word_is_torn_apart_and_every_line_fits(text: str, room: int) -> None:
    lines = told(text, room)
    assert max(map(cell_len, lines)) <= room
    lines = "\n".join(lines).partition("\n(not shown: ")[0].splitlines()
    words = set(re.split(r"[\s,]+", text))
    shown = [word for line in lines for word in re.split(r"[\s,]+", line) if word]
    assert set(shown) <= words


@pytest.mark.parametrize("text", [*TABLES.values(), ANALYSIS], ids=[*TABLES, "analysis"])
def test_what_fits_and_what_goes_into_a_log_is_as_it_was_told(text: str) -> None:
    assert told(text, 250) == told(text, 0) == text.splitlines()


def test_columns_of_wide_go_before_others() -> None:
    assert told(PODS) == [
        "NAME                                   READY  STATUS   RESTARTS      AGE",
        "istio-ingressgateway-7d5879b8df-vjssm  1/1    Running  1 (3m2s ago)  4m55s",
        "istiod-6899bf798-jx7q7                 1/1    Running  0             4m59s",
        "(not shown: IP, NODE, NOMINATED NODE, READINESS GATES)",
    ]
    assert told(PODS, 100)[0].split()[-2:] == ["IP", "NODE"]


def test_a_service_keeps_its_address_and_its_ports() -> None:
    assert told(SERVICES) == [
        "NAME                  TYPE          EXTERNAL-IP   PORT(S)",
        "istio-ingressgateway  LoadBalancer  172.31.0.137  15021:32373/TCP,",
        "                                                  80:30156/TCP,",
        "                                                  443:32070/TCP",
        "istiod                ClusterIP     <none>        15010/TCP,15012/TCP,",
        "                                                  443/TCP,15014/TCP",
        "(not shown: CLUSTER-IP, AGE)",
    ]


def test_labels_are_broken_between_two() -> None:
    assert told(NAMESPACES) == [
        "NAME      STATUS  AGE    LABELS",
        "bookinfo  Active  4m51s  app.kubernetes.io/part-of=mesh-workshop,",
        "                         istio-injection=enabled,",
        "                         kubernetes.io/metadata.name=bookinfo",
        "default   Active  50m    kubernetes.io/metadata.name=default",
    ]


def test_where_nothing_helps_rows_go_on_below_between_words() -> None:
    assert told(EVENTS) == [
        "LAST SEEN  TYPE    REASON     OBJECT                               MESSAGE",
        "4m39s      Normal  Scheduled  pod/productpage-v1-5d6b5cf55c-xh5hf",
        "    Successfully assigned bookinfo/productpage-v1-5d6b5cf55c-xh5hf to",
        "    node1",
    ]


def test_text_goes_on_further_in() -> None:
    first, *more = told(ANALYSIS)
    assert first.startswith("Warning [IST0103] (Pod ratingsapp/")
    assert all(line.startswith("    ") for line in more)
    long = "GATEWAY_URL is http://" + "a" * 100
    assert told(long) == ["GATEWAY_URL is", "    http://" + "a" * 100]


def test_a_column_somebody_asked_for_by_that_name_stays() -> None:
    """istio.adopt's: `-o custom-columns` has no AGE, right of which `-o wide` would add."""
    table = f"POD{' ' * 40}CONTAINERS{' ' * 10}SIDECARS\n{'x' * 40}   ratings-web{' ' * 9}istio-proxy,yet-another"
    assert told(table) == [
        f"POD{' ' * 39}CONTAINERS   SIDECARS",
        f"{'x' * 40}  ratings-web  istio-proxy,",
        f"{' ' * 55}yet-another",
    ]


def test_lines_that_are_not_in_a_header_s_columns_are_text() -> None:
    text = f"NOTE   THIS{' ' * 70}\nis no table of any columns at all, {'and goes on ' * 5}"
    assert told(text)[-1] == "    goes on and goes on"


def test_a_long_comment_stays_a_comment_when_it_is_pasted() -> None:
    """A backslash at a comment's end is a part of it: the next line would be a command."""
    comment = "# " + "expected: 25% " * 12
    shown = bare(rendered(Commands().lines([comment.strip(), "echo done"])))
    assert len(shown.splitlines()) > 2
    done = subprocess.run(["sh", "-ec", shown], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get pods",
        "echo '<<' " + "word " * 30,
        "kubectl apply -f - <<'EOF'\n---\na:  1\n\nb: |\n  two   \n  three\nEOF",
        f"kubectl apply {'--option=value ' * 8}-f - <<EOF\na: $A\nEOF",
    ],
)
def test_colours_change_nothing_in_what_is_typed(command: str) -> None:
    typed = list(Commands().typed([command]))
    assert bare(rendered(Commands().lines([command]))) == f"{typed[0]}\n"
    assert max(len(line) for line in typed[0].splitlines()) <= 80
