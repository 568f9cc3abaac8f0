"""Files of a running sandbox damaged: `doctor` finds it, whoever needs them says it, and the sandbox can be stopped
and started. Seen: `doctor` found nothing, and `sandbox.down` ended in a JSONDecodeError."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import launcher
from sandbox.server.launcher import SandboxError
from tests.kit.workshop import Workshop
from workshop.azure import own_kubeconfig as kubeconfig
from workshop.kubernetes.kubeconfigs import contexts_in, current_context

FILES = ("server.json", "kubeconfig", "azure.json", "ca.pem", "bin/istioctl")
ANEW = "invoke sandbox.down && invoke sandbox.up"


@pytest.fixture
def folder(workshop: Workshop) -> Iterator[Path]:
    """Of a sandbox that runs, its files put back afterwards, while it still does."""
    folder = workshop.state / "sandbox"
    if not launcher.is_there(folder):
        workshop.converge("sandbox.up")
    kept = {name: (folder / name).read_bytes() for name in FILES}
    yield folder
    for name, content in kept.items():
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        (folder / name).write_bytes(content)
    (folder / "bin" / "istioctl").chmod(0o755)
    assert launcher.whole(folder)


def of_another_shape(path: Path) -> str:
    """JSON as it was, with one thing in it of another kind."""
    content = json.loads(path.read_text())
    for key in content:
        if key in ("url", "users"):
            content[key] = [1]
    return json.dumps(content)


DAMAGES = [
    *((name, "garbage") for name in FILES),
    *((name, "") for name in FILES),
    *((name, None) for name in FILES),
    *((name, shape) for name in FILES[:3] for shape in ("[1]", "null", "{}", "[" * 100_000, "other")),
    ("kubeconfig", "- " * 100_000),
    ("kubeconfig", "{" + "[" * 100_000),
]


@pytest.mark.parametrize(("name", "content"), DAMAGES, ids=lambda value: str(value)[:10])
def test_a_file_of_the_sandbox_damaged(folder: Path, name: str, content: str | None) -> None:
    path = folder / name
    if content is None:
        path.unlink()
    else:
        path.write_text(of_another_shape(path) if content == "other" else content)
    with pytest.raises(SandboxError) as found:
        launcher.whole(folder)
    assert str(found.value).startswith(f"{path} is damaged: {'it is gone' if content is None else ''}")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("doctor", "server.json"),
        ("sandbox.shell", "kubeconfig"),
        ("doctor", "kubeconfig"),
        ("doctor", "azure.json"),
        ("sandbox.up", "server.json"),
        ("sandbox.status", "server.json"),
        ("lab.istio.inject", "server.json"),
        ("lab.istio.inject --plan", "kubeconfig"),
        ("lab.azure.group", "azure.json"),
    ],
)
def test_whoever_needs_a_damaged_file_says_so(workshop: Workshop, folder: Path, words: str, name: str) -> None:
    (folder / name).write_text("{")
    ran = workshop.run(*words.split())
    assert ran.status == (1 if words == "doctor" else 2)
    said = ran.unfolded
    assert f"{name} is damaged: " in said
    assert ANEW in said
    assert "Error" not in said
    assert "defect" not in said


def test_what_only_explains_needs_none_of_them(workshop: Workshop, folder: Path) -> None:
    for name in ("server.json", "azure.json"):
        (folder / name).write_text("{")
    workshop.converge("lab.azure.group", "--explain")
    workshop.converge("lab.istio.inject", "--explain")


def test_the_workshop_s_own_kubeconfig_damaged(workshop: Workshop, folder: Path) -> None:
    """Whoever reads it bears all of these, and doctor says what to type."""
    own = workshop.state / "kubeconfig"
    for content in ("{", "[" * 100_000, "- " * 100_000, "\0", '{"contexts": [1]}'):
        own.write_text(content)
        assert kubeconfig.read(own) is None, content[:20]
        assert (contexts_in(own), current_context(own)) == ([], ""), content[:20]
    said = workshop.converge("doctor").unfolded
    assert "kubeconfigisdamaged:nolabfinds" in said.replace(" ", "")  # a long path is broken anywhere
    assert "invoke lab.azure.credentials" in said
    own.unlink()


def test_kubectl_writes_the_kubeconfig_as_yaml(workshop: Workshop, folder: Path) -> None:
    """That is no damage."""
    workshop.by_hand("kubectl config use-context secondary")
    assert not (folder / "kubeconfig").read_text().startswith("{")
    assert launcher.whole(folder)


def overwrite(path: Path) -> None:
    path.write_text("garbage")


def remove(path: Path) -> None:
    path.unlink()


def put_a_folder_there(path: Path) -> None:
    path.unlink()
    (path / "in").mkdir(parents=True)


@pytest.mark.parametrize("damage", [overwrite, remove, put_a_folder_there])
def test_with_all_files_damaged_the_sandbox_is_stopped_and_started(workshop: Workshop, damage: object) -> None:
    workshop.converge("sandbox.up")
    folder = workshop.state / "sandbox"
    for name in FILES[:-1]:
        assert callable(damage)
        damage(folder / name)
    if damage is overwrite:
        (folder / "lock").write_text("garbage")
    first = workshop.converge("sandbox.down")
    assert first.said.strip() == "the sandbox is stopped"
    assert workshop.run("sandbox.status").said.startswith("the sandbox is not running")
    assert "the sandbox runs at" in workshop.converge("sandbox.up").said
