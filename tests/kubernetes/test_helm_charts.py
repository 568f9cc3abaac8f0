"""The labs' charts: rendered here as helm renders them, and refused where they could not be."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from labs import RUNBOOK
from tests.kit.tools import HELM, needs_helm
from workshop.kubernetes.helm_charts import by_name, chart, with_defaults
from workshop.kubernetes.manifests import parse, without_secrets
from workshop.runbook.errors import UsageError

ROOT = Path(RUNBOOK.labs[-1].file).parent / "charts"
CHARTS = sorted(path.name for path in ROOT.iterdir())
VALUES = {"lab": "istio.ratings", "image": "example.org/a:1", "welcome": 'It\'s "new" & ü {}: #1', "most": 999_999}


@needs_helm
@pytest.mark.parametrize("name", CHARTS)
def test_it_is_rendered_as_helm_does(name: str) -> None:
    assert HELM
    command = [HELM, "template", "one", str(ROOT / name), "-n", "there", "-f", "-"]
    done = subprocess.run(command, input=yaml.dump(VALUES), capture_output=True, text=True, check=True, timeout=60)
    assert by_name(parse(done.stdout, "helm")) == by_name(chart(ROOT / name).render("one", "there", VALUES))


def test_values_are_merged_as_helm_does() -> None:
    given = {"a": {"x": 1}, "b": 3, "c": {"z": 1}}
    assert with_defaults({"a": {"x": 0, "y": 0}, "b": {"x": 1}}, given) == {
        "a": {"x": 1, "y": 0},
        "b": 3,
        "c": {"z": 1},
    }


TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
data:
  text: @
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ include `x` . }}", "more of Helm's language"),
        ("{{ .Values.text | upper }}", "more of Helm's language"),
        ("{{- .Values.text }}", "more of Helm's language"),
        ("{{ .Capabilities.KubeVersion }}", "more of Helm's language"),
        ("{{ .Values.txt }}", "has no value"),
        ("{{ .Values.text.more }}", "has no value"),
        ("{{ .Values.lines | quote }}", "has the value"),
        ("{{ .Values.share }}", "has the value"),
        ("{{ .Values.million }}", "has the value"),
        ("{{ .Values.map }}", "has the value"),
    ],
)
def test_what_is_more_than_values_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, {"templates/a.yaml": TEMPLATE.replace("@", text)})
    values = {"text": "x", "lines": "a\nb", "share": 0.5, "million": 1_000_000, "map": {"a": 1}}
    with pytest.raises(UsageError) as refused:
        chart(tmp_path).render("one", "there", values)
    assert said in str(refused.value)
    assert "templates/a.yaml, line 7" in str(refused.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"templates/_helpers.tpl": ""}, "cannot render templates/_helpers.tpl"),
        ({"crds/a.yaml": ""}, "cannot render crds/a.yaml"),
        ({"Chart.yaml": "name: x"}, "the chart has no version"),
        ({"Chart.yaml": "- x"}, "not a mapping"),
        ({"values.yaml": "a: ["}, "flow"),
    ],
)
def test_a_chart_that_is_more_or_none_is_refused(tmp_path: Path, files: dict[str, str], said: str) -> None:
    write(tmp_path, files)
    with pytest.raises(UsageError, match=said):
        chart(tmp_path)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in {"Chart.yaml": "name: x\nversion: 1.0.0\n", **files}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("dump", [yaml.dump, lambda it: __import__("json").dumps(it)], ids=["yaml", "json"])
def test_what_a_secret_holds_is_not_shown(dump: Any) -> None:
    secret = {"kind": "Secret", "metadata": {"name": "a"}, "data": {"key": "hidden"}, "stringData": {"b": "hidden"}}
    shown = without_secrets(dump(secret))
    assert "hidden" not in shown
    assert "key: (not shown)" in shown
    assert "hidden" not in without_secrets("kind: Secret\ndata: {hidden: [")
    text = dump({"kind": "ConfigMap", "data": {"kind": "Secret"}})
    assert without_secrets(text) == text
