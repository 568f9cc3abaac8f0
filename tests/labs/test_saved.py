"""`sandbox.save` and `sandbox.load`: a prepared sandbox, brought back elsewhere as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs import RUNBOOK
from sandbox.server import launcher, saved_state
from tests.kit.fixtures import Wait
from tests.kit.in_process import converge_here, here, kubectl_here, run_here, target_of
from tests.kit.saved import differences
from tests.kit.workshop import Workshop
from workshop import command
from workshop.runbook.journal import AppliedPart
from workshop.runbook.state_folder import FolderLock

LAB = "istio.gateway"


@pytest.fixture(scope="module")
def file(workshop: Workshop) -> Path:
    """A sandbox with the labs up to a way in."""
    converge_here(workshop, LAB)
    said = workshop.converge("sandbox.save", "evening").said
    kept = workshop.state / "saved" / "evening.json.gz"
    assert f"saved as {kept}" in said
    assert "Secrets of these clusters as plain text" in said
    return kept


@pytest.fixture(scope="module")
def loaded(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Somebody else's, with that."""
    other = Workshop(tmp_path_factory.mktemp("an other") / "Zustand ä")
    said = other.converge("sandbox.load", str(file)).said
    assert "objects: " in said
    assert "not as it was saved" not in said
    yield other
    launcher.stop(other.state / "sandbox")


def states(workshop: Workshop) -> list[str]:
    """Of all labs, as `status` tells them."""
    said = here(workshop, lambda config: command.status(config, RUNBOOK, "table")).said
    return re.findall(r"^\S +(.*?)  +((?:istio|azure)\.\S+)", said, re.M)


def test_labs_are_where_they_were(workshop: Workshop, file: Path, loaded: Workshop, eventually: Wait) -> None:
    again = loaded.state / "saved" / "again.json.gz"

    def same() -> bool:
        loaded.converge("sandbox.save", "again", "--force")
        return not differences(file, again)

    eventually(same)  # before `status` calls the secondary cluster
    assert states(loaded) == states(workshop)
    assert ("converged", LAB) in states(loaded)
    assert set(converge_here(loaded, LAB).outcomes) == {"unchanged"}
    checked = run_here(loaded, LAB, check=True)
    assert checked.status == 0, checked.said
    assert "Titles seen from outside" in checked.said, "pages are served"
    assert "sandbox.load" in loaded.converge("history").said


def test_what_was_not_proved_is_not_and_no_more_than_that(workshop: Workshop, file: Path, loaded: Workshop) -> None:
    (identity,) = saved_state.read_head(file).identities
    part = RUNBOOK.lab(LAB).parts[-1].title
    target_of(workshop).journal.applied(AppliedPart(identity, LAB, part))
    workshop.converge("sandbox.save", "unproved")
    target_of(workshop).journal.proved(AppliedPart(identity, LAB, part))

    loaded.converge("sandbox.load", str(workshop.state / "saved" / "unproved.json.gz"), "--yes")
    assert ("not proved", LAB) in states(loaded)
    loaded.converge("sandbox.load", str(file), "--yes")
    assert ("converged", LAB) in states(loaded)


def test_not_while_a_run_is_on(workshop: Workshop, file: Path) -> None:
    running = launcher.status(workshop.state / "sandbox")
    with FolderLock(workshop.state, "somebody").held():
        for words, following in (
            (("sandbox.save", "other"), "wait until it ends"),
            (("sandbox.load", "evening"), "invoke sandbox.load evening --yes"),
        ):
            refused = workshop.run(*words)
            assert refused.status == 2
            assert "another run has it: somebody" in refused.unfolded
            assert following in refused.unfolded
    assert launcher.status(workshop.state / "sandbox") == running


def test_what_runs_is_not_replaced_unasked(workshop: Workshop, file: Path, loaded: Workshop) -> None:
    kubectl_here(loaded, "create configmap mine")
    refused = loaded.run("sandbox.load", str(file))
    assert (refused.status, "all that is in it would be gone" in refused.unfolded) == (2, True)
    assert kubectl_here(loaded, "get configmap mine -o name") == "configmap/mine\n"


@pytest.mark.parametrize(
    ("words", "said", "following"),
    [
        (("save", "evening"), "it is there already", "invoke sandbox.save evening --force"),
        (("save", "a/b"), "is no name for a saved state", "invoke sandbox.save evening"),
        (("load", "morning"), "no state 'morning' is saved", "invoke sandbox.status"),
        (("load", "tasks.py/x"), "Not a directory", "invoke sandbox.status"),
    ],
)
def test_what_cannot_be_done_says_what_to_type(
    workshop: Workshop, file: Path, words: tuple[str, str], said: str, following: str
) -> None:
    refused = workshop.run(f"sandbox.{words[0]}", words[1])
    assert refused.status == 2
    assert said in refused.unfolded
    assert following in refused.unfolded
    assert "saved: evening (of " in workshop.run("sandbox.status").said


def test_without_a_sandbox_there_is_nothing_to_save(tmp_path: Path) -> None:
    refused = Workshop(tmp_path / "state").run("sandbox.save", "evening")
    assert refused.status == 1
    assert "no sandbox runs in" in refused.unfolded


@pytest.mark.slow
def test_a_class_begins_with_it(file: Path, tmp_path: Path) -> None:
    room = Workshop(tmp_path / "room")
    room.state.mkdir()
    (room.state / "class.yaml").write_text("members: [ada, grace]")
    of_it = ("--roster", str(room.state / "class.yaml"))
    members = [Workshop(room.state / "class" / name) for name in ("ada", "grace")]
    try:
        refused = room.run("class.up", "--load", "evening", *of_it)
        assert (refused.status, "no state 'evening' is saved" in refused.unfolded) == (2, True)
        room.converge("class.up", "--load", str(file), *of_it)
        for member in members:
            assert ("converged", LAB) in states(member), "at once"
            assert set(converge_here(member, LAB).outcomes) == {"unchanged"}
        again = room.converge("class.up", "--load", str(file), *of_it)
        assert again.said.count("it runs already: nothing is loaded into it") == 2
    finally:
        launcher.stop_all([member.state / "sandbox" for member in members])


# With clusters that the azure labs have made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path_factory.mktemp("made"))
    workshop.converge("sandbox.up")
    workshop.azure.set(durations={"managedClusters": 0.0})
    converge_here(workshop, "azure")
    yield workshop
    launcher.stop(workshop.state / "sandbox")


@pytest.mark.slow
def test_clusters_that_were_made_in_it_are_in_it(made: Workshop, tmp_path: Path) -> None:
    kubectl_here(made, "create configmap mine")
    made.converge("sandbox.save", "made")
    other = Workshop(tmp_path / "other")
    try:
        said = other.converge("sandbox.load", str(made.state / "saved" / "made.json.gz")).said
        assert "the cluster that lab.azure has made in the sandbox" in said.replace("\n", " ")
        assert kubectl_here(other, "get configmap mine -o name") == "configmap/mine\n"
        assert "secondary" in other.by_hand("kubectl config get-contexts -o name")
        assert set(converge_here(other, "azure").outcomes) == {"unchanged"}
        assert ("converged", "azure.credentials") in states(other)
        undone = other.run("lab.azure.cleanup", "--yes")
        assert undone.status == 0, undone.said
        assert other.azure.sent("DELETE"), "they can be taken back"
    finally:
        launcher.stop(other.state / "sandbox")


def test_nothing_is_saved_while_azure_is_at_work(made: Workshop) -> None:
    made.azure.set(durations={"virtualNetworks": 60.0})
    group = made.azure.ask("GET", "resourcegroups")["value"][0]
    network = f"resourceGroups/{group['name']}/providers/Microsoft.Network/virtualNetworks/busy"
    body = {"location": group["location"], "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}}}
    made.azure.ask("PUT", network, body)
    refused = made.run("sandbox.save", "half")
    assert refused.status == 1
    assert "Azure is at work (busy (Updating)): save when that has ended" in refused.unfolded
    assert not (made.state / "saved" / "half.json.gz").exists()
