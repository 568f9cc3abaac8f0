"""Istio as `--explain` says to type it: the workshop's own, as if a run had installed it, also to the clean-up."""

from __future__ import annotations

from tests.labs.conftest import Workshop, workshop

__all__ = ["workshop"]


def test_what_was_typed_is_converged_and_the_clean_up_removes_it(workshop: Workshop) -> None:
    workshop.converge("lab.istio.install", "--plan")  # starts the sandbox
    before = workshop.dump()
    workshop.explained("lab.istio.install")
    assert "a run would change nothing" in workshop.converge("lab.istio.install", "--plan").said
    ran = workshop.converge("lab.istio.cleanup", "--yes")
    assert "Uninstall Istio and delete istio-system" in ran.titled("changed")
    assert workshop.dump() == before
