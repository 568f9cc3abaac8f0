"""The document that `--explain` writes into a file, of a whole group."""

from __future__ import annotations

import re
import subprocess

import pytest

from labs import RUNBOOK
from tests.kit.workshop import Workshop

GROUP = [lab for lab in RUNBOOK.labs if lab.name.startswith("istio.") and not lab.undoes]


def test_a_group_s_document_has_its_labs_in_order_and_blocks_that_a_shell_reads(workshop: Workshop) -> None:
    document = workshop.converge("lab.istio", "--explain").said
    assert re.findall(r"(?m)^## (\S+): ", document) == [lab.name for lab in GROUP]
    assert not re.findall(r"(?m)^\$ ", document)
    script = workshop.to_type("lab.istio")
    assert script.count("\nkubectl apply -f - <<") > len(GROUP)
    subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=30)


@pytest.mark.exhaustive
def test_a_group_s_document_typed_from_beginning_to_end_does_its_labs(workshop: Workshop) -> None:
    workshop.converge("lab.istio.cleanup", "--plan")  # starts the sandbox
    script = workshop.to_type("lab.istio").removeprefix("set -e\n")  # a call that ends with 500 is a part of it
    workshop.by_hand(script)
    assert "a run would change nothing" in workshop.converge("lab.istio", "--plan").said
