"""`invoke bundle`: what is in the file, that it is the same again, and what is refused before there is one."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import signal
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bundling.conftest import OTHER, PYTHON, TAR, Packer
from tests.kit.laws import LAW
from tests.kit.workshop import Workshop, until
from workshop import bundle_task, written_files
from workshop.bundling import archive, repository, wheels
from workshop.bundling.wheels import Machine
from workshop.runbook.errors import UsageError
from workshop.runbook.state_folder import FolderLock
from workshop.settings import ROOT


def members(bundle: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(bundle) as packed:
        return {member.name.removeprefix("mesh-workshop-bundle/"): member for member in packed}


def content(bundle: Path, name: str) -> str:
    with tarfile.open(bundle) as packed:
        file = packed.extractfile(f"mesh-workshop-bundle/{name}")
        assert file is not None
        return file.read().decode()


def test_all_of_the_last_commit_and_the_wheels_are_in_it(packer: Packer, tmp_path: Path) -> None:
    for left in ("saved", "bundle/wheels/of one that was killed"):
        (packer.workshop.state / left).mkdir(parents=True)
    (packer.workshop.state / "saved" / "ready.json.gz").write_bytes(gzip.compress(b"saved"))
    ran = packer.pack(tmp_path / "b.tar.gz", saved="ready")
    assert ran.status == 0, ran.said
    found = members(tmp_path / "b.tar.gz")
    assert [name for name in found if not name.startswith("wheels/")] == [
        *("README.txt", "mesh-workshop/labs/the same", "mesh-workshop/labs/übung.sh"),
        *("mesh-workshop/requirements.lock", "mesh-workshop/tasks.py", "saved/ready.json.gz", "start.sh"),
    ]
    names = [re.sub(r"-.*", "", name) for name in found if name.startswith("wheels/")]
    assert names == ["wheels/fast", "wheels/invoke", "wheels/pip", "wheels/pip.lock"]
    assert found["mesh-workshop/labs/the same"].linkname == "übung.sh"
    modes = {name: member.mode for name, member in found.items() if member.isfile() and member.mode != 0o644}
    assert modes == {"start.sh": 0o755, "mesh-workshop/labs/übung.sh": 0o755, "saved/ready.json.gz": 0o600}
    assert {(member.mtime, member.uid, member.uname) for member in found.values()} == {(1795809600, 0, "")}
    assert packer.git("rev-parse", "HEAD")[:12] in content(tmp_path / "b.tar.gz", "README.txt")
    for name in ("README.txt", "start.sh"):
        assert not re.search(r"@\w+@", content(tmp_path / "b.tar.gz", name)), "a word was not filled in"
    for name, member in found.items():
        if member.isfile() and name.endswith((".sh", ".txt", ".lock")):
            assert str(packer.index.folder) not in content(tmp_path / "b.tar.gz", name), "where pip looked"
    assert not (packer.workshop.state / "bundle" / "wheels").exists()


def test_it_is_the_same_again_and_written_over_its_own_kind_only(packer: Packer, tmp_path: Path) -> None:
    first = packer.pack(tmp_path / "first.tar.gz")
    assert written_files.place(str(tmp_path / "first.tar.gz"), made_by=archive.MADE_BY, force=False)
    for file in packer.root.rglob("*"):
        os.utime(file, (0, 0), follow_symlinks=False)
    mine = tmp_path / "second.tar.gz"
    mine.write_text("mine")
    assert packer.pack(mine).status == 2
    assert mine.read_text() == "mine"
    second = packer.pack(mine, force=True)
    assert (tmp_path / "first.tar.gz").read_bytes() == mine.read_bytes()
    (said,) = re.findall(r"SHA-256 (\w{64})$", first.said, re.M)
    assert said in second.said


def test_an_unpacked_one_is_a_repository_of_the_same_files(packer: Packer, tmp_path: Path) -> None:
    """But for links, of which the workshop has none; with what running it leaves there."""
    (packer.root / "labs" / "the same").unlink()
    packer.git("commit", "-q", "-a", "-m", "No link")
    before = repository.read(packer.root)
    with (tmp_path / "b.tar.gz").open("wb") as file:
        archive.write(file, "there", before.entries, before.made)
    with tarfile.open(tmp_path / "b.tar.gz") as packed:
        packed.extractall(tmp_path, **TAR)  # noqa: S202 - our own
    there = tmp_path / "there"
    for left in ("labs/__pycache__/a.pyc", ".workshop/kubeconfig", ".venv/bin/python", "my-azure.yaml"):
        (there / left).parent.mkdir(parents=True, exist_ok=True)
        (there / left).touch()
    after = repository.read(there)
    by_name = [sorted(one.entries, key=lambda entry: entry.name) for one in (before, after)]
    assert by_name[0] == by_name[1]
    assert before.made == after.made


def test_what_a_folder_without_git_consists_of_is_what_git_tracks_here() -> None:
    """So that a new folder or file at the top is not forgotten there."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    tracked = repository._git(ROOT, "ls-tree", "--name-only", "HEAD").stdout.decode().split()
    assert set(tracked) <= set(repository.CONSISTS_OF)


def test_what_is_not_committed_is_named_and_left_out(packer: Packer, tmp_path: Path) -> None:
    (packer.root / "requirements.lock").write_text("nonsense==1\n")
    (packer.root / "labs" / "new.py").touch()
    ran = packer.pack(tmp_path / "b.tar.gz")
    assert ran.status == 0, ran.said
    assert "what is not committed in requirements.lock, labs/new.py" in ran.said
    assert "mesh-workshop/labs/new.py" not in members(tmp_path / "b.tar.gz")
    assert "nonsense" not in content(tmp_path / "b.tar.gz", "mesh-workshop/requirements.lock")


def test_all_that_has_no_wheel_is_named_before_there_is_a_file(packer: Packer, tmp_path: Path) -> None:
    lock = packer.root / "requirements.lock"
    lock.write_text(lock.read_text() + f"absent==2.0 \\\n    --hash=sha256:{'0' * 64}\n")
    packer.git("commit", "-q", "-a", "-m", "One more")
    ran = packer.pack(tmp_path / "b.tar.gz", platforms=OTHER)
    assert ran.status == 2, ran.said
    assert f"for {OTHER} (Python {PYTHON}) there is none of fast 1.0, absent 2.0 " in ran.unfolded
    assert not list(tmp_path.glob("*b.tar.gz*"))
    assert not (packer.workshop.state / "bundle" / "wheels").exists()


@pytest.mark.parametrize(
    ("lacking", "said", "instead"),
    [
        (
            ["c 3.11", "c 3.12"],
            "for c (Python 3.11, 3.12) there is none of x 1, y 2",
            "--platforms a,b --pythons 3.11,3.12",
        ),
        (["a 3.12", "c 3.12"], "for a (Python 3.12), c (Python 3.12)", "--platforms b --pythons 3.11,3.12"),
        (["a 3.12", "b 3.12", "c 3.12"], "for a (Python 3.12), b", "--platforms a,b,c --pythons 3.11"),
        (["a 3.11", "b 3.12", "c 3.12"], "for a (Python 3.11), b", ""),
    ],
)
def test_the_call_that_would_do_without_is_named(lacking: list[str], said: str, instead: str) -> None:
    machines = [Machine(platform, python) for platform in "abc" for python in ("3.11", "3.12")]
    missing = {each: ("x 1", "y 2") if f"{each.platform} {each.python}" in lacking else () for each in machines}
    with pytest.raises(UsageError) as refused:
        bundle_task._refuse_incomplete(machines, missing, ["--to", "a b"])
    assert said in refused.value.came_back
    assert refused.value.next_command == (f"invoke bundle {instead} --to 'a b'" if instead else "")


def test_an_index_that_does_not_answer_is_no_missing_wheel(
    packer: Packer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name in ("NO_INDEX", "FIND_LINKS"):
        monkeypatch.delenv(f"PIP_{name}")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    ran = packer.pack(tmp_path / "b.tar.gz")
    assert ran.status == 1, ran.said
    assert "the package index cannot be reached" in ran.unfolded
    assert "there is none of" not in ran.said
    assert not list(tmp_path.glob("*b.tar.gz*"))


def test_cut_off_by_ctrl_c_nothing_is_left(packer: Packer, tmp_path: Path) -> None:
    """Of the real workshop; what its packages are looked for in has none of them."""
    to = tmp_path / "cut.tar.gz"
    process = Workshop(tmp_path / "state").start("bundle", "--to", str(to))
    until(process, "wheels for")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not list(tmp_path.glob("*cut.tar.gz*"))
    assert not (tmp_path / "state" / "bundle" / "wheels").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"platforms": "solaris-sparc"}, "it can be for linux-x86_64, linux-aarch64, macos-arm64"),
        ({"pythons": "3.9"}, "the workshop needs 3.11 or newer"),
        ({"pythons": "three"}, "the workshop needs 3.11 or newer"),
        ({"saved": "tuesday"}, "nothing is saved yet"),
        ({"saved": str(Path(__file__))}, "it is damaged, or no saved state"),
    ],
)
def test_what_cannot_be_packed_is_refused(packer: Packer, tmp_path: Path, asked: dict[str, str], said: str) -> None:
    ran = packer.pack(tmp_path / "b.tar.gz", **asked)  # type: ignore[arg-type]
    assert ran.status == 2
    assert said in ran.unfolded
    assert not (tmp_path / "b.tar.gz").exists()


def test_another_name_than_a_saved_one_is_told_those_there_are(packer: Packer, tmp_path: Path) -> None:
    saved = packer.workshop.state / "saved"
    saved.mkdir(parents=True)
    (saved / "monday.json.gz").touch()
    ran = packer.pack(tmp_path / "b.tar.gz", saved="tuesday")
    assert ran.status == 2
    assert "saved are: monday" in ran.unfolded
    assert "bundle --saved monday" in ran.unfolded


def test_one_at_a_time(packer: Packer, tmp_path: Path) -> None:
    with FolderLock(packer.workshop.state / "bundle", "somebody").held():
        ran = packer.pack(tmp_path / "b.tar.gz")
    assert ran.status == 2
    assert "another run has it: somebody" in ran.unfolded


def test_a_folder_that_is_no_repository_is_refused(packer: Packer, tmp_path: Path) -> None:
    (packer.root / "requirements.lock").unlink()
    ran = packer.pack(tmp_path / "b.tar.gz")
    assert ran.status == 2
    assert "a bundle is made of its repository" in ran.unfolded


@pytest.mark.parametrize("lock", [ROOT / "requirements.lock", ROOT / "workshop" / "bundling" / "pip.lock"])
def test_the_locks_are_the_same_for_all_platforms(lock: Path) -> None:
    """pip reads their markers as of the machine that the bundle is made on."""
    text = lock.read_text()
    markers = " ".join(re.findall(r"^\S+ ; (.*?) *\\?$", text, re.M))
    assert set(re.findall(r"[a-z_]{6,}", markers)) <= {"implementation_name", "platform_python_implementation"}
    assert len(wheels.entries(text)) == text.count("==") - markers.count("==")


def test_what_git_says_when_it_fails_is_shown(packer: Packer, tmp_path: Path) -> None:
    (packer.root / ".git" / "HEAD").write_text("ref: refs/heads/none")
    ran = packer.pack(tmp_path / "b.tar.gz")
    assert ran.status == 2
    assert "ask git for the last commit" in ran.unfolded


@settings(LAW, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 200_000), st.booleans()), max_size=4))
def test_any_gzip_reads_what_was_packed(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, bool]]
) -> None:
    """Blocks end anywhere in the files; the same content has a hash that no zlib has a say in."""
    folder = tmp_path_factory.mktemp("packed")
    contents = {
        f"{number:03}": hashlib.shake_128(bytes([number])).digest(size) for number, (size, _) in enumerate(sizes)
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    entries = [
        archive.Entry(name, folder / name if from_file else contents[name])
        for name, (_, from_file) in zip(contents, sizes, strict=True)
    ]
    with (folder / "a.tar.gz").open("wb") as file:
        sha256 = archive.write(file, "top", reversed(entries), 0)
    packed = (folder / "a.tar.gz").read_bytes()
    assert hashlib.sha256(packed).hexdigest() == sha256
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as unpacked:
        found = {member.name: member for member in unpacked}
        assert list(found) == [f"top/{name}" for name in contents]
        for name, content in contents.items():
            file_of = unpacked.extractfile(found[f"top/{name}"])
            assert file_of is not None
            assert file_of.read() == content


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    with (tmp_path / "a.tar.gz").open("wb") as file:
        entries = [archive.Entry("b", b"text", archive.PROGRAM), archive.Entry("ä", link="b")]
        sha256 = archive.write(file, "top", entries, 1_700_000_000)
    assert sha256 == "218c7f9c8f316d0a025e89dca6bded3f214961bd62674dd5902c614c1f959e12"
