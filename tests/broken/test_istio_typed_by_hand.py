"""Istio as `--explain` says to type it: the workshop's own, as if a run had installed it, also to the clean-up."""

from __future__ import annotations

from tests.kit.workshop import Workshop


def test_what_was_typed_is_converged_and_the_clean_up_removes_it(workshop: Workshop) -> None:
    workshop.converge("lab.istio.install", "--plan")  # starts the sandbox
    before = workshop.dump()
    workshop.explained("lab.istio.install")
    assert "a run would change nothing" in workshop.converge("lab.istio.install", "--plan").said
    checked = workshop.converge("lab.istio.install", "--check").said
    assert "control plane 1.31.1" in checked
    assert "nothing was changed" in checked
    ran = workshop.converge("lab.istio.cleanup", "--yes")
    assert "Uninstall Istio and delete istio-system" in ran.titled("changed")
    assert workshop.dump() == before


def test_an_istio_that_was_there_before_is_not_made_the_workshop_s_by_typing(workshop: Workshop) -> None:
    """The commands end at the first one that fails, and that is ahead of all labels."""
    workshop.converge("lab.istio.install", "--plan")
    workshop.by_hand("kubectl create namespace istio-system && istioctl install -y --set profile=default")
    before = workshop.dump()
    said = workshop.run("sandbox.shell", stdin=workshop.to_type("lab.istio.install")).said
    assert 'namespaces "istio-system" already exists' in said
    assert "labeled" not in said
    assert workshop.dump() == before
    assert "Istio was there before the workshop" in workshop.converge("lab.istio.cleanup", "--yes").said
    assert workshop.dump() == before
