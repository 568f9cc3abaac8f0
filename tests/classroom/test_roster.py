"""Rosters as instructors write them: what is read, and what is refused with its line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.cases import cases
from workshop.classroom.roster import Member, Roster, chosen, read_roster, shard
from workshop.runbook.errors import UsageError


def written(folder: Path, case: dict[str, Any]) -> Path:
    for name in case.get("files", ()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    file = folder / f"class.{case.get('ending', 'yaml')}"
    file.write_bytes(case["text"].encode(case.get("encoding", "utf-8")))
    return file


@cases(__file__, "rosters")
def test_a_roster(of: str, case: dict[str, Any], tmp_path: Path) -> None:
    file = written(tmp_path, case)
    if of == "right":
        members = read_roster(file).members
        assert [member.name for member in members] == list(case["members"])
        for member in members:
            said = {"profile": "", "context": "", "kubeconfig": "", "cluster": "", **case["members"][member.name]}
            found = {key: getattr(member, key).replace(f"{tmp_path}/", "") for key in said}
            assert found == said
            assert member.name in file.read_text("utf-8-sig").splitlines()[member.line - 1]
        return
    with pytest.raises(UsageError) as refused:
        read_roster(file)
    assert str(file) in refused.value.tried
    for part in ("tried", "came_back", "cause"):
        assert case.get(part, "") in getattr(refused.value, part)


def test_a_roster_that_is_not_there_is_told_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_roster(tmp_path / "class.yaml")
    assert refused.value.next_command == f"echo 'members: [ada, ben]' > {tmp_path / 'class.yaml'}"


@pytest.mark.parametrize("ending", ["yaml", "csv"])
def test_what_is_told_to_begin_with_makes_a_roster(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"class.{ending}"
    with pytest.raises(UsageError) as refused:
        read_roster(file)
    subprocess.run(["sh", "-c", refused.value.next_command], check=True)
    assert [member.name for member in read_roster(file).members] == ["ada", "ben"]


ROSTER = Roster(Path("class.yaml"), tuple(Member(name, line=1) for name in ("ada", "ben", "Cleo")))


def test_members_are_chosen_by_name_in_the_rosters_order() -> None:
    assert [one.name for one in chosen(ROSTER, ["cleo", "ada"])] == ["ada", "Cleo"]
    assert chosen(ROSTER, []) == ROSTER.members
    with pytest.raises(UsageError, match="find the member cloe") as refused:
        chosen(ROSTER, ["cloe"])
    assert refused.value.cause == "did you mean Cleo?"


@given(st.integers(1, 200), st.integers(1, 40))
def test_every_member_is_in_one_share(count: int, machines: int) -> None:
    members = [Member(f"m{number}") for number in range(count)]
    shares = [shard(members, f"{one}/{machines}") for one in range(1, machines + 1)]
    assert sorted((one for share in shares for one in share), key=members.index) == members
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("which", ["0/4", "5/4", "2", "1/0", "-1/4", "2/4/1", ""])
def test_what_is_no_share_is_refused(which: str) -> None:
    with pytest.raises(UsageError, match="as 2/4"):
        shard(ROSTER.members, which)


def test_a_device_or_a_pipe_is_no_roster() -> None:
    with pytest.raises(UsageError) as refused:
        read_roster(Path("/dev/null"))
    assert refused.value.came_back == "it is no file that can be read twice"
