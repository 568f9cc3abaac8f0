"""What all labs ask a cluster for, read from their manifests, and the cluster that README says is enough."""

from __future__ import annotations

import math
import re
from pathlib import Path

from labs import RUNBOOK
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Manifests
from workshop.kubernetes.quantities import Amount, total, without_place
from workshop.mesh.resource_requests import ISTIOD, PROXY, wanted
from workshop.runbook.run import Facts, Run
from workshop.settings import ROOT, load

GIB = 1024.0**3


PAGE = Amount(0.05, 64 * 1024**2) + PROXY


def run() -> Run:
    manifests = Manifests(ROOT / "labs", load({}).images)
    nowhere = Kubectl(Path("kubectl"), Path("nowhere"), "primary", Path("cache"))
    return Run("doctor", {Manifests: manifests, Kubectl: nowhere}, Facts(), {}, lambda event: None)


def test_all_labs_in_one_cluster() -> None:
    """istiod, the gateway, and a sidecar beside each of the 15 pods that shared/real/kubectl/get-pods-wide.txt has;
    the manifests themselves request nothing. Of istio.ratings the API has a sidecar, and the page two pods that ask
    for something themselves."""
    asked = wanted(RUNBOOK.labs, run())
    assert asked.namespaces == {"istio-system", "primary", "bookinfo", "ratingsapp", "smoothies", "smoothies-db"}
    assert sorted(asked.pods, key=lambda one: one.cpus) == [*[PROXY] * 17, *[PAGE] * 2, ISTIOD]
    assert math.isclose(total(asked.pods).cpus, 2.5)
    assert math.isclose(total(asked.pods).memory, 4.5 * GIB)


def test_what_the_other_cluster_gets() -> None:
    asked = wanted(RUNBOOK.labs, run(), "secondary")
    assert asked.namespaces == {"istio-system", "secondary"}
    assert sorted(asked.pods, key=lambda one: one.cpus) == [PROXY, PROXY, ISTIOD]


def test_readme_s_smallest_cluster_is_enough_and_a_node_of_two_cpus_is_not() -> None:
    """A managed cluster's own pods take up to a CPU and a gigabyte or so: readme's figures leave room for them."""
    said = re.search(r"ask for ([\d.]+) CPUs and ([\d.]+) GiB.*?(\d+) CPUs and (\d+) GiB", README, re.S)
    assert said
    asked = wanted(RUNBOOK.labs, run()).pods
    assert (float(said[1]), float(said[2])) == (round(total(asked).cpus, 1), round(total(asked).memory / GIB, 1))
    smallest = Amount(float(said[3]) - 1, (float(said[4]) - 1) * GIB)
    assert without_place(asked, {"node": smallest}) == []
    assert without_place(asked, {"node": Amount(2.0, 8 * GIB)})


README = (ROOT / "README.md").read_text()
