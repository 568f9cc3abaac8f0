"""A kubeconfig for some contexts alone, kept elsewhere: kubectl still finds what it names by relative paths."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workshop.kubernetes.kubeconfigs import current_context, only, why_none

KUBECTL = Path(sys.executable).with_name("kubectl")
CREDENTIAL = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}

CONTENT = """
apiVersion: v1
kind: Config
clusters:
- {name: a, cluster: {server: "https://127.0.0.1:9", certificate-authority: certs/ca.pem, tls-server-name: n}}
- {name: b, cluster: {server: "https://127.0.0.1:9"}}
users:
- {name: files, user: {client-certificate: certs/c.pem, client-key: /k.pem, tokenFile: certs/token}}
- {name: plugin, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: %s}}}
- {name: secret, user: {token: production}}
contexts:
- {name: one, context: {cluster: a, user: files, namespace: n}}
- {name: two, context: {cluster: b, user: plugin}}
- {name: production, context: {cluster: b, user: secret}}
- {name: nobody, context: {cluster: b}}
- {name: astray, context: {cluster: none, user: secret}}
current-context: production
"""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    (tmp_path / "whole").mkdir()
    path = tmp_path / "whole" / "config"
    path.write_text(CONTENT % "bin/plugin")
    return path


def test_only_what_the_contexts_need_and_files_from_the_root_on(whole: Path) -> None:
    found, folder = only(whole, "two", "one"), whole.parent
    assert found["current-context"] == "two"
    assert [each["name"] for each in found["contexts"]] == ["two", "one"]
    assert found["contexts"][1]["context"]["namespace"] == "n"
    cluster, user = found["clusters"][1]["cluster"], found["users"][1]["user"]
    assert cluster["certificate-authority"] == f"{folder}/certs/ca.pem"
    assert cluster["tls-server-name"] == "n"
    assert user == {
        "client-certificate": f"{folder}/certs/c.pem",
        "client-key": "/k.pem",
        "tokenFile": f"{folder}/certs/token",
    }
    assert "production" not in json.dumps(found)
    assert only(whole, "nobody")["users"] == []
    assert current_context(whole) == "production"
    assert current_context(whole.with_name("none")) == ""


def test_kubectl_runs_the_plugin_beside_the_whole_one(whole: Path, tmp_path: Path) -> None:
    """And one that is named without a folder it looks for on the PATH."""
    plugin = whole.parent / "bin" / "plugin"
    plugin.parent.mkdir()
    plugin.write_text(f"#!/bin/sh\ntouch '{tmp_path}/called'\necho '{json.dumps(CREDENTIAL)}'\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    for command in ("bin/plugin", "plugin"):
        whole.write_text(CONTENT % command)
        (tmp_path / "alone").write_text(yaml.safe_dump(only(whole, "two")))
        subprocess.run(
            [KUBECTL, f"--kubeconfig={tmp_path}/alone", "get", "--raw", "/", "--request-timeout=5"],
            env={**os.environ, "PATH": f"{plugin.parent}:/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        (tmp_path / "called").unlink()


@pytest.mark.parametrize("context", ["none", "astray"])
def test_a_context_that_leads_nowhere(whole: Path, context: str) -> None:
    with pytest.raises(ValueError, match=r"config|unpack"):
        only(whole, context)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"contexts: [", "it is no YAML"),
        (b"\xff\xfe\0", "it is no YAML"),
        (b"", "it is no kubeconfig"),
        (b"hello", "it is no kubeconfig"),
        (b"contexts: [a]", "it is no kubeconfig"),
        (b"contexts: [{name: a}]", ""),
    ],
)
def test_what_is_no_kubeconfig(text: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_bytes(text)
    assert why_none(file).startswith(why)
    assert bool(why_none(file)) is bool(why)
    assert why_none(tmp_path) == "it cannot be read: Is a directory"
