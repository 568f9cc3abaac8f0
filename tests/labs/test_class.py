"""A class as its instructor works with it: members in sandboxes, some of whom fail in two ways."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.server import launcher
from tests.kit.workshop import Cluster, Ran, Workshop, until
from workshop.classroom import member_record

MEMBERS = ("ada", "ben", "cleo", "dora", "emil", "fay")

LAB = """
from workshop.authoring import Lab, apply

LAB = Lab(
    name="room.note",
    title="Leave a note",
    text="",
    parts=(apply("Make the room", "room.yaml"), apply("Leave the note", "note.yaml")),
)
"""
ROOM = "apiVersion: v1\nkind: Namespace\nmetadata: {name: room}\n"
NOTE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note, namespace: room}\ndata: {says: hello}\n"

REFUSES = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "gone"},
    "webhooks": [
        {
            "name": "gone.example.com",
            "clientConfig": {"service": {"name": "gone", "namespace": "default"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "room"}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
    ],
}

OTHERS = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "mine", "namespace": "istio-system"},
    "spec": {"host": "mine.example.com"},
}


class Room(Workshop):
    """The instructor's side."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "INVOKE_LABS": str(self.state / "labs" / "room")}

    def of(self, *words: str) -> Ran:
        return self.run(*words, "--roster", str(self.state / "class.yaml"))

    def member(self, name: str) -> Workshop:
        return Workshop(self.state / "class" / name)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    state = tmp_path_factory.mktemp("class")
    folder = state / "labs" / "room"
    folder.mkdir(parents=True)
    for name, text in {"note.py": LAB, "room.yaml": ROOM, "note.yaml": NOTE}.items():
        (folder / name).write_text(text)
    (state / "class.yaml").write_text(f"members: [{', '.join(MEMBERS)}]")
    room = Room(state)
    ran = room.of("class.up")
    assert ran.status == 0, ran.said
    yield room
    launcher.stop_all(tuple(room.member(name).state / "sandbox" for name in MEMBERS))


@pytest.fixture(autouse=True)
def clean(room: Room) -> Iterator[None]:
    yield
    for name in MEMBERS:
        Cluster(room.member(name).state / "sandbox" / "kubeconfig", "primary").delete_namespace("room")


def lock(member: Workshop) -> None:
    """As a run on another machine has it."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    spec = {
        "holderIdentity": "elsewhere/1/eve/1@x",
        "leaseDurationSeconds": 3600,
        "renewTime": now,
        "acquireTime": now,
    }
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "workshop-lock", "namespace": "workshop-system"},
        "spec": spec,
    }
    apply(member, lease)


def apply(member: Workshop, obj: dict[str, object]) -> None:
    file = member.state / "obj.json"
    file.write_text(json.dumps(obj))
    member.by_hand(f"kubectl apply -f {file}")


def test_two_kinds_of_failure_and_the_failed_ones_again(room: Room) -> None:
    for name in ("ben", "dora"):
        lock(room.member(name))
    apply(room.member("fay"), REFUSES)
    ran = room.of("class.run", "room.note")
    assert ran.status == 1, ran.said
    assert "3 of 6 members done" in ran.said
    groups = ran.said.split("members done")[1]
    assert "2 members failed: ben, dora" in groups
    assert "another run has it: eve on elsewhere" in groups
    assert "1 member failed: fay" in groups
    assert 'failed calling webhook "gone.example.com"' in " ".join(groups.split())
    assert f"next  invoke class.run room.note --roster {room.state / 'class.yaml'} --failed  only those 3" in groups
    for name in ("ben", "dora"):
        room.member(name).by_hand("kubectl delete lease -n workshop-system workshop-lock")
    room.member("fay").by_hand("kubectl delete validatingwebhookconfiguration gone")
    ran = room.of("class.run", "room.note", "--failed")
    assert ran.status == 0, ran.said
    assert "3 of 3 members done" in ran.said
    assert set(ran.said.split()) >= {"ben", "dora", "fay"}
    assert "ada" not in ran.said
    again = room.of("class.run", "room.note", "--failed")
    assert again.status == 2
    assert "nobody's last task has failed" in again.said
    assert "6 of 6 members done" in room.of("class.run", "room.note").said


def test_what_only_looks(room: Room) -> None:
    room.of("class.run", "room.note", "--only", "ada,ben")
    room.member("ben").by_hand('kubectl patch configmap note -n room -p \'{"data":{"says":"bye"}}\'')
    before = {name: kept(room, name) for name in MEMBERS}
    planned = room.of("class.run", "room.note", "--plan")
    assert planned.status == 0, planned.said
    lines = {line.split()[1]: line for line in planned.said.splitlines() if line.startswith(("✓", "✗"))}
    assert "nothing to change" in lines["ada"]
    assert "1 of 2 steps: 1 to change" in lines["ben"]
    assert "2 of 2 steps: 2 to create" in lines["cleo"]
    status = room.of("class.status")
    assert status.status == 1
    assert "room.note drifted  ConfigMap room/note" in status.said
    assert "✗ 6 of 6 members looked at  1 drifted" in status.said
    data = json.loads(room.of("class.status", "--format", "json").said)
    states = {one["member"]: one["labs"][-1]["state"] for one in data["members"]}
    assert states == {"ada": "converged", "ben": "drifted", **dict.fromkeys(MEMBERS[2:], "not there")}
    checked = room.of("class.check", "room.note", "--only", "ada,ben")
    assert checked.status == 1
    assert "room.note, step 2 (Leave the note): missing, ConfigMap room/note data.says" in checked.said
    assert (
        f"next invoke class.run room.note --only ada,ben --roster {room.state}/class.yaml --failed"
        in checked.unfolded
    )
    assert {name: kept(room, name) for name in MEMBERS} == before


def test_back_to_a_known_state(room: Room) -> None:
    """What the others have made stops the reset of whose it is, and of nobody else."""
    two = ("--only", "ben,cleo")
    assert room.of("class.run", "room.note", *two).status == 0
    room.member("ben").by_hand("kubectl delete configmap note -n room")
    room.member("cleo").by_hand("kubectl create configmap mine -n room")
    ran = room.of("class.reset", "--to", "clean", *two)
    assert ran.status == 1, ran.said
    assert "1 of 2 members done" in ran.said
    assert "somebody has made ConfigMap room/mine" in ran.unfolded
    roster = room.state / "class.yaml"
    assert f"next invoke class.reset --roster {roster} --only cleo --to clean --foreign" in ran.unfolded
    ran = room.of("class.reset", "--to", "clean", "--foreign", "--failed", *two)
    assert ran.status == 0, ran.said
    assert room.of("class.run", "room.note", "--plan", *two).said.count("2 to create") == 2


def test_what_others_have_made_is_told_and_stays(room: Room) -> None:
    one = ("--only", "ben")
    assert room.of("class.reset", "--to", "istio.install", *one).status == 0
    room.member("ben").by_hand(f"kubectl create -f - <<'END'\n{json.dumps(OTHERS)}\nEND\n")
    ran = room.of("class.reset", "--to", "istio.install", *one)
    assert ran.status == 0, ran.said
    assert "left alone: DestinationRule istio-system/mine" in ran.said
    ran = room.of("class.reset", "--to", "istio.install", "--foreign", *one)
    assert ran.status == 0, ran.said
    assert "left alone" not in ran.said


def kept(room: Room, name: str) -> dict[str, str]:
    return dict(Cluster(room.member(name).state / "sandbox" / "kubeconfig", "primary").versions())


def test_each_member_has_its_own(room: Room) -> None:
    """Every kubectl of a member's run has that member's kubeconfig, and state; nobody else may read it."""
    assert room.of("class.run", "room.note").status == 0
    servers = set()
    for name in MEMBERS:
        kubeconfig = room.member(name).state / "sandbox" / "kubeconfig"
        assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
        servers.add(json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    assert len(servers) == len(MEMBERS)
    last = room.member(MEMBERS[-1])
    assert "class.run room.note" in last.run("history").said
    assert last.run("status", INVOKE_LABS=str(room.state / "labs" / "room")).status == 0


@pytest.mark.parametrize("moment", ["the first is done", "one is at work"])
def test_killed_and_typed_again(room: Room, moment: str) -> None:
    line = ("class.run", "room.note", "--roster", str(room.state / "class.yaml"), "--at-once", "2")
    process = room.start(*line)
    if moment == "the first is done":
        until(process, "✓")
    else:
        while not any((last := member_record.read(room.member(name).state)) and last.under_way for name in MEMBERS):
            assert process.poll() is None
    process.kill()
    process.communicate()
    records = {name: member_record.read(room.member(name).state) for name in MEMBERS}
    assert not any(record and record.under_way for record in records.values())
    ran = room.run(*line)
    assert ran.status == 0, ran.said
    assert "6 of 6 members done" in ran.said


def test_ctrl_c_stops_all_and_the_same_line_goes_on(room: Room) -> None:
    line = ("class.run", "room.note", "--roster", str(room.state / "class.yaml"), "--at-once", "1")
    process = room.start(*line)
    until(process, "✓")
    process.send_signal(signal.SIGINT)
    said = process.communicate()[0]
    assert process.returncode == 130, said
    assert "not begun" in said
    assert "next  invoke class.run room.note" in said
    ran = room.run(*line)
    assert ran.status == 0, ran.said


def test_clusters_that_are_there_are_looked_at_before_anything_is_begun(room: Room, tmp_path: Path) -> None:
    """One of three does not answer: nothing happens to the others either, and the next command leaves it out."""
    kubeconfigs = {name: room.member(name).state / "sandbox" / "kubeconfig" for name in ("ada", "ben")}
    dead = tmp_path / "dead"
    text = kubeconfigs["ada"].read_text()
    server = json.loads(text)["clusters"][0]["cluster"]["server"]
    dead.write_text(text.replace(server, "https://127.0.0.1:9"))
    rows = {"xena": kubeconfigs["ada"], "yves": kubeconfigs["ben"], "zoe": dead}
    roster = tmp_path / "there.csv"
    lines = [f"{name},primary,{kubeconfig}" for name, kubeconfig in rows.items()]
    roster.write_text("\n".join(["name,context,kubeconfig", *lines]))
    line = ("class.run", "room.note", "--roster", str(roster))
    own = {"INVOKE_STATE": str(tmp_path / "state")}
    ran = room.run(*line, **own)
    assert ran.status == 2, ran.said
    assert "zoe: " in ran.unfolded
    assert "nothing was begun for anybody" in ran.unfolded
    assert f"next invoke {' '.join(line)} --only xena,yves" in ran.unfolded
    assert "room" not in room.member("ada").by_hand("kubectl get namespaces -o name")
    ran = room.run(*line, "--only", "xena,yves", **own)
    assert ran.status == 0, ran.said
    assert "2 of 2 members done" in ran.said


def test_a_folder_that_is_a_file_stops_nobody_else(room: Room) -> None:
    members = room.state / "class"
    members.mkdir(parents=True, exist_ok=True)
    (members / "nina").write_text("")
    roster = room.state / "another.yaml"
    roster.write_text("members: [nina, ben]")
    ran = room.run("class.up", "--roster", str(roster))
    assert ran.status == 1
    assert "1 of 2 members done" in ran.said
    assert (
        f"next invoke class.up --roster {roster} --only nina only that one" in ran.unfolded
    )  # no --failed finds it
    again = f"--only nina --roster {roster}"
    assert f"class.down {again} && invoke class.up {again}" in ran.unfolded


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("class.run", "room.note", "--only", "ben", "--shard", "1/2"), "share 1/2 of"),
        (("class.kubeconfigs", "--to", "/dev/null/x"), "write kubeconfigs into /dev/null/x"),
        (("class.run", "room.nte"), "next invoke class.run room.note"),
        (("class.run",), "next invoke class.run istio."),
        (("class.check", "room.nte"), "next invoke class.check room.note"),
        (("class.run", "room.note", "--only", "adda"), "did you mean ada?"),
        (("class.run", "room.note", "--at-once", "0"), "it is a whole number, 1 or more"),
        (("class.run", "room.note", "--shard", "3/2"), "as 2/4"),
        (("class.status", "--format", "xml"), "it is one of table, json"),
        (("class.reset",), "next invoke class.reset --to istio.install"),
        (("class.reset", "--to", "room.nte"), "next invoke class.reset --to room.note"),
        (("-R", "class.reset", "--to", "clean"), "would be done all the same"),
        (("-R", "class.down", "--yes"), "would be done all the same"),
    ],
)
def test_wrong_usage(room: Room, words: tuple[str, ...], told: str) -> None:
    ran = room.of(*words)
    assert ran.status == 2, ran.said
    assert told in ran.unfolded


def test_a_report_of_the_class(room: Room, tmp_path: Path) -> None:
    assert room.of("class.run", "room.note").status == 0
    ran = room.run("report", "--class", "--format", "json", "--to", str(tmp_path / "r.json"))
    assert ran.status == 0, ran.said
    runs = json.loads((tmp_path / "r.json").read_text())["runs"]
    assert [run["member"] for run in runs] == list(MEMBERS)
    assert "next invoke report --class" in room.run("report").unfolded
    assert "report --class, or class.status" in room.run("history").unfolded


def test_what_another_run_holds_is_refused_also_with_nothing_to_do(room: Room) -> None:
    two = ("--only", "ada,ben")
    assert room.of("class.run", "room.note", *two).status == 0
    lock(room.member("ben"))
    try:
        ran = room.of("class.run", "room.note", *two)
    finally:
        room.member("ben").by_hand("kubectl delete lease -n workshop-system workshop-lock")
    assert "1 of 2 members done" in ran.said
    assert "another run has it: eve on elsewhere" in ran.unfolded


def test_a_folder_that_leads_to_another_member_s_is_refused(room: Room) -> None:
    (room.state / "class" / "twin").symlink_to(room.state / "class" / "ada")
    roster = room.state / "twins.yaml"
    roster.write_text("members: [ada, ben, twin]")
    ran = room.run("class.run", "room.note", "--only", "ben", "--roster", str(roster))
    assert ran.status == 2, ran.said
    assert "twin has the state folder of ada (line 1)" in ran.unfolded


def test_what_is_wrong_with_a_kubeconfig_is_told(room: Room) -> None:
    (room.state / "broken").write_text("contexts: [")
    roster = room.state / "broken.csv"
    roster.write_text("name,context,kubeconfig\nben,primary,broken\n")
    ran = room.run("class.run", "room.note", "--roster", str(roster))
    assert ran.status == 2, ran.said
    assert "broken, the kubeconfig of ben: it is no YAML" in ran.unfolded
