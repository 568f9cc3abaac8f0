"""Files of saved states: what is written is read, and what is not whole is refused; what a state says is translated
to the sandbox that it is loaded into."""

from __future__ import annotations

import gzip
import json
import stat
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.api.local_cluster import LocalCluster
from sandbox.core.addresses import Network
from sandbox.core.cluster import Object
from sandbox.server import saved_state
from sandbox.server.saved_state import UnusableError
from sandbox.server.snapshot import Expected, Translation, put_back, ranges_of

NAMESPACE = {"metadata": {"name": "kube-system", "uid": "1-2-3"}}
MADE = "/subscriptions/1/resourcegroups/mine/providers/Microsoft.ContainerService/managedClusters/made"
STATE = json.dumps(
    {
        "account": {},
        "azure": {},
        "clusters": [
            {"name": "primary", "objects": {"namespaces": [NAMESPACE], "secrets": [{}, {}]}},
            {"name": MADE, "objects": {"namespaces": [{"metadata": {"name": "default"}}]}},
        ],
    }
).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = saved_state.place_of(tmp_path / "saved", "evening")
    saved_state.write(path, STATE, {"ours": [1]}, force=False)
    return path


def test_what_is_written_is_read(file: Path) -> None:
    head, state = saved_state.read(file)
    assert state == STATE
    assert head == saved_state.read_head(file)
    assert (dict(head.clusters), head.identities, head.secrets) == (
        {"primary": 3, MADE: 1},
        ("1-2-3",),
        2,
    )
    assert head.notes == {"ours": [1]}
    assert saved_state.worded(head).endswith("objects: 3 of primary, 1 of mine/made")
    assert "the 2 Secrets" in saved_state.warning(head)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file], "nothing unfinished is left"


def test_one_that_is_there_is_replaced_only_when_asked(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(UnusableError, match="it is there already"):
        saved_state.write(file, STATE, {}, force=False)
    assert file.read_bytes() == before
    saved_state.write(file, STATE, {}, force=True)
    assert saved_state.read_head(file).notes == {}


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_no_change_of_a_file_is_overlooked(
    tmp_path_factory: pytest.TempPathFactory, where: float, change: int
) -> None:
    """Cut off there, or another byte."""
    path = tmp_path_factory.getbasetemp() / "changed.json.gz"
    saved_state.write(path, STATE, {}, force=True)
    whole = path.read_bytes()
    at = int(where * len(whole))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :] if change else whole[:at])
    # What gzip's header says of the system that it was written on is not the file's content.
    if unzipped(path.read_bytes()) != unzipped(whole):
        with pytest.raises(UnusableError, match=r"damaged|no saved state"):
            saved_state.read(path)


def unzipped(content: bytes) -> bytes | None:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


def rewritten(file: Path, **changes: Any) -> None:
    head, _, state = gzip.decompress(file.read_bytes()).partition(b"\n")
    said = {**json.loads(head), **changes}
    file.write_bytes(gzip.compress(json.dumps(said).encode() + b"\n" + state))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "it has version 2, and this sandbox reads version 1"),
        ({"format": "a cookbook"}, "it is no saved state of a sandbox"),
        ({"digest": "0"}, "it is no saved state of a sandbox, or damaged"),
        ({"clusters": 7}, "it is no saved state of a sandbox, or damaged"),
    ],
)
def test_what_cannot_be_loaded_is_refused(file: Path, changes: dict[str, Any], said: str) -> None:
    rewritten(file, **changes)
    with pytest.raises(UnusableError) as refused:
        saved_state.read(file)
    assert str(refused.value) == f"{file}: {said}"


def test_what_is_no_such_file_at_all_is_refused(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UnusableError, match=said):
            saved_state.read(path)
    text = tmp_path / "text"
    text.write_text("apiVersion: v1")
    with pytest.raises(UnusableError, match="no saved state"):
        saved_state.read(text)


@pytest.mark.parametrize("name", ["", ".hidden", "-f", "a/b", "../evening", "a b", "ä", "x" * 64])
def test_a_name_is_one_of_a_file_beside_others(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnusableError, match="is no name for a saved state"):
        saved_state.place_of(tmp_path, name)


def test_one_is_found_by_its_name_or_its_path(file: Path, tmp_path: Path) -> None:
    folder = file.parent
    assert saved_state.find(folder, "evening") == file
    assert saved_state.find(tmp_path, str(file)) == file
    with pytest.raises(UnusableError, match=r"no state 'morning' is saved in .*saved \(evening\)"):
        saved_state.find(folder, "morning")
    with pytest.raises(UnusableError, match="nothing yet"):
        saved_state.find(tmp_path, "evening")


def test_those_there_are_come_with_the_last_one_first_and_without_what_is_none(file: Path) -> None:
    saved_state.write(saved_state.place_of(file.parent, "later"), STATE, {}, force=False)
    (file.parent / "broken.json.gz").write_text("no")
    assert [name for name, _ in saved_state.kept(file.parent)] == ["later", "evening"]


# Translation

THERE, HERE, SECOND, OTHER = Network(70), Network(71), Network(72), Network(70)


def translation() -> Translation:
    """From 70 and 72 to 71 and 70: what one was before is another now."""
    made = Translation(texts={"BEGIN\na\nEND\n": "BEGIN\nb\nEND\n", "0000-1": "0000-2"})
    made.add_ranges(ranges_of(THERE), ranges_of(HERE))
    made.add_ranges(ranges_of(SECOND), ranges_of(OTHER))
    return made


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (THERE.api_address, HERE.api_address),
        (THERE.node_address(2), HERE.node_address(2)),
        (f"tcp://{THERE.load_balancers.take()}:80/", f"tcp://{HERE.load_balancers.take()}:80/"),
        (SECOND.pods.take(), OTHER.pods.take()),
        ("127.0.0.1", "127.0.0.1"),
        ("127.73.0.1", "127.73.0.1"),
        (f"1{THERE.api_address}", f"1{THERE.api_address}"),
        (f"{THERE.api_address}.5", f"{THERE.api_address}.5"),
        (f"at {THERE.api_address}.", f"at {HERE.api_address}."),
        (f"{THERE.api_address}9999", f"{THERE.api_address}9999"),
        ("127.70.999.1", "127.70.999.1"),
        ("/subscriptions/0000-1/x", "/subscriptions/0000-2/x"),
        ("BEGIN\na\nEND\n", "BEGIN\nb\nEND\n"),
    ],
)
def test_a_text_says_what_is_so_in_the_new_sandbox(before: str, now: str) -> None:
    assert json.loads(translation()(json.dumps([before, before]))) == [now, now]


def pod(name: str, *, node: str = "", phase: str = "Running") -> Object:
    status = {
        "phase": phase,
        "podIP": THERE.node_address(1),
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "c", "restartCount": 3}],
    }
    spec = {"nodeName": node} if node else {}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": spec,
        "status": status,
    }


def test_pods_that_run_start_anew_and_others_are_as_they_were() -> None:
    ran, ended, waits = pod("ran", node="n"), pod("ended", node="n", phase="Succeeded"), pod("waits")
    cluster = LocalCluster()
    put_back(cluster, {"pods": [ran, ended, waits]})
    assert cluster.get("pods", "default", "ran")["status"] == {
        "phase": "Pending",
        "podIP": THERE.node_address(1),
        "conditions": [{"type": "PodScheduled", "status": "True"}],
    }
    assert cluster.get("pods", "default", "ended") is ended
    assert cluster.get("pods", "default", "waits") is waits


def test_what_was_ready_is_waited_for_as_long_as_somebody_wants_it() -> None:
    cluster = LocalCluster()
    objects = {
        "pods": [pod("ran", node="n"), pod("gone", node="n"), {**pod("never"), "status": {"phase": "Pending"}}]
    }
    expected = Expected(objects)
    put_back(cluster, objects)
    assert expected.missing(cluster) == ["pod default/gone", "pod default/ran"]
    cluster.store.remove("pods", "default", "gone")
    cluster.store.put("pods", pod("ran", node="n"))
    assert expected.missing(cluster) == []


@given(st.integers(0, 255), st.integers(0, 255))
def test_an_address_keeps_its_place(third: int, fourth: int) -> None:
    there, back = Translation(), Translation()
    there.add_ranges(ranges_of(THERE), ranges_of(HERE))
    back.add_ranges(ranges_of(HERE), ranges_of(THERE))
    address = f"127.70.{third}.{fourth}"
    moved = there(address)
    assert moved in (address, f"127.71.{third}.{fourth}")
    assert back(moved) == address
