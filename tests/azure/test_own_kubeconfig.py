"""The workshop's own kubeconfig."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from workshop.azure import own_kubeconfig as kubeconfig
from workshop.runbook.errors import UsageError

SENT = yaml.safe_dump(
    {
        "current-context": "aks-1",
        "contexts": [{"name": "aks-1", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://one"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
).encode()


def test_entries_have_the_names_of_the_places_and_say_where_they_are_from(tmp_path: Path) -> None:
    path = tmp_path / "state" / "kubeconfig"
    content = kubeconfig.read(path) or {}
    for place in ("primary", "secondary"):
        content = kubeconfig.put(content, place, kubeconfig.entry(place, SENT, f"uid-{place}"))
    kubeconfig.write(path, content)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["kubeconfig"]
    written = kubeconfig.read(path) or {}
    assert [each["name"] for each in written["contexts"]] == ["primary", "secondary"]
    assert written["current-context"] == "primary"
    assert kubeconfig.origin_in(written, "secondary") == "uid-secondary"
    assert kubeconfig.origin_in(written, "third") is None


def test_an_entry_is_replaced_and_the_file_goes_with_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    content = kubeconfig.put({}, "primary", kubeconfig.entry("primary", SENT, "old"))
    content = kubeconfig.put(content, "primary", kubeconfig.entry("primary", SENT, "new"))
    assert len(content["users"]) == 1
    kubeconfig.write(path, content)
    assert kubeconfig.origin_in(kubeconfig.read(path) or {}, "primary") == "new"
    kubeconfig.write(path, kubeconfig.without(kubeconfig.read(path) or {}, "primary"))
    assert not path.exists()


@pytest.mark.parametrize("text", [b"a: [", b"- a", b"contexts: 3", b"contexts: [3]", b"\xff\xfe\x00"])
def test_a_broken_file_is_written_anew(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(text)
    assert kubeconfig.read(path) is None
    kubeconfig.write(path, kubeconfig.put({}, "primary", kubeconfig.entry("primary", SENT, "new")))
    written = kubeconfig.read(path)
    assert written
    assert written["kind"] == "Config"
    assert kubeconfig.origin_in(written, "primary") == "new"


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="kubeconfig") as raised:
        kubeconfig.read(tmp_path)
    assert raised.value.next_command == f"ls -ld {tmp_path}"


def test_the_mode_is_that_of_the_file_until_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    assert kubeconfig.mode(path) == "0600"
    kubeconfig.write(path, kubeconfig.put({}, "primary", kubeconfig.entry("primary", SENT, "new")))
    path.chmod(0o644)
    assert kubeconfig.mode(path) == "0644"
    kubeconfig.write(path, kubeconfig.read(path) or {})
    assert kubeconfig.mode(path) == "0600"
