from __future__ import annotations

from pathlib import Path

import pytest

from workshop.kubernetes import manifests
from workshop.kubernetes.manifests import Manifests
from workshop.runbook.errors import UsageError

SERVICE = """\
# The first line.
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {selector: {app: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "${web-v1}", args: [2024-01-01]}]}
"""


def files(folder: Path, text: str, images: dict[str, str] | None = None) -> Manifests:
    (folder / "istio").mkdir()
    (folder / "istio" / "web.yaml").write_text(text)
    return Manifests(folder, images or {"web-v1": "example.org/web:1"})


def test_objects_are_labelled_outside_and_only_there(tmp_path: Path) -> None:
    service, deployment = files(tmp_path, SERVICE).load("istio.canary", "web.yaml")
    assert service["metadata"]["labels"] == {
        "app": "web",
        "app.kubernetes.io/part-of": "mesh-workshop",
        "workshop/lab": "istio.canary",
    }
    assert service["spec"] == {"selector": {"app": "web"}}
    assert manifests.lab_of(deployment) == "istio.canary"
    assert deployment["spec"]["template"]["metadata"] == {"labels": {"app": "web"}}


def test_images_come_from_the_settings_and_dates_stay_text(tmp_path: Path) -> None:
    _, deployment = files(tmp_path, SERVICE).load("istio.canary", "web.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "web", "image": "example.org/web:1", "args": ["2024-01-01"]}


def test_written_and_read_again_is_the_same(tmp_path: Path) -> None:
    objects = files(tmp_path, SERVICE).load("istio.canary", "web.yaml")
    assert manifests.parse(manifests.as_yaml(objects), "again") == objects


def test_an_unknown_image_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        files(tmp_path, SERVICE, {"web-v2": "x"}).load("istio.canary", "web.yaml")
    assert refused.value.tried.endswith("web.yaml, line 13")
    assert "web-v1" in refused.value.came_back
    assert "web-v2" in refused.value.cause


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: [\n", "line 2", "did not find expected node content"),
        ("kind: A\nkind: B\n", "line 2", "'kind' is there twice"),
        ("- a\n", "line 1", "no object"),
        ("\n\nkind: Service\n", "line 3", "no apiVersion"),
        ("apiVersion: v1\nkind: Service\n", "line 1", "no metadata.name"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "line 1", "metadata.namespace"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}\n", "line 1", "has no namespace"),
        ("a: b\nc: \x01\n", "line 2", "control characters are not allowed"),
    ],
)
def test_broken_files_are_refused_with_the_line(tmp_path: Path, text: str, line: str, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        files(tmp_path, text).load("istio.canary", "web.yaml")
    assert line in refused.value.tried
    assert problem in refused.value.came_back


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"istio/other.yaml"):
        files(tmp_path, SERVICE).load("istio.canary", "other.yaml")


def test_only_our_labels_make_an_object_ours() -> None:
    assert manifests.lab_of({"metadata": {"name": "a"}}) is None
    assert manifests.lab_of({"metadata": {"labels": {"workshop/lab": "x"}}}) is None
    assert not manifests.is_ours({"metadata": {"labels": {"app.kubernetes.io/part-of": "bookinfo"}}})
