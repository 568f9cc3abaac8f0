"""Manifests: YAML beside the labs, read as data.

    image: ${bookinfo-reviews-v1}

stands for the image that the settings pin under that name, or for a value that the step gives: of a lab's
option, or of what a cluster says. Options are known at once; what has to be observed may not be known yet, while
what it comes from is still to be made: a plan then goes on with its placeholder. An
unknown name is an error, as is broken YAML, with file and line. Every object gets the workshop's labels, in its own
metadata only: labels in a pod template or a selector would change what the lab shows (and a selector can never be
changed again).
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.lazy_dataclass import dataclass
from workshop.runbook.options import Option

if TYPE_CHECKING:
    import yaml

    from workshop.runbook.run import Run


Object = dict[str, Any]
PART_OF = "app.kubernetes.io/part-of"
WORKSHOP = "mesh-workshop"
LAB = "workshop/lab"
ISTIO_NAMESPACE, INGRESS_GATEWAY = "istio-system", "istio-ingressgateway"

_PIN = re.compile(r"\$\{([^}\n]*)\}")
_NO_VALUES: Mapping[str, str] = {}
_CLUSTER_SCOPED = frozenset({"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"})


@dataclass(frozen=True)
class Manifests:
    """`root` is the folder of the labs, `images` the settings' pins. Lab `istio.canary` has its files in
    `root/istio`, unless `folders` has another place for it; and a file's name may go on from there
    ("canary/subsets.yaml")."""

    root: Path
    images: Mapping[str, str]
    folders: Mapping[str, Path] = field(default_factory=dict)

    def path(self, lab: str, file: str) -> Path:
        return self.folders.get(lab, self.root.joinpath(*lab.split(".")[:-1])) / file

    def shown(self, lab: str, file: str) -> str:
        """The path as a person names it, in the workshop's folder or in his own."""
        path = self.path(lab, file)
        for folder in (self.root.parent, Path.cwd()):
            if path.is_relative_to(folder):
                return str(path.relative_to(folder))
        return str(path)

    def load(self, lab: str, file: str, values: Mapping[str, str] = _NO_VALUES) -> list[Object]:
        """The objects of a file in its order, labelled. Raises UsageError with file and line."""
        path = self.path(lab, file)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"read {path}", error.strerror or str(error)) from error
        objects: list[Object] = copy.deepcopy(parsed(_filled(text, path, {**self.images, **values}), str(path)))
        for obj in objects:
            mark(obj, lab)
        return objects

    def with_images(self, lab: str, file: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values with the images filled in, as in a manifest; `file` is what they are for. Raises UsageError."""
        path = self.path(lab, file)
        return {
            key: self.with_images(lab, file, value)
            if isinstance(value, Mapping)
            else _filled(value, path, self.images)
            if isinstance(value, str)
            else value
            for key, value in values.items()
        }


@lru_cache(maxsize=256)
def parsed(text: str, file: str) -> list[Object]:
    """As `parse`, of which everybody takes a copy: a run asks five times for each manifest."""
    return parse(text, file)


def _filled(text: str, path: Path, known: Mapping[str, str]) -> str:
    def filled(match: re.Match[str]) -> str:
        name = match[1]
        if name in known:
            return known[name]
        line = text.count("\n", 0, match.start()) + 1
        near = difflib.get_close_matches(name, known, n=1)
        raise UsageError(
            f"read {path}, line {line}",
            f"there is no image {name} in the settings",
            cause=f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}",
        )

    return _PIN.sub(filled, text)


def mark(obj: Object, lab: str) -> None:
    """Say on the object that the workshop put it there, and which lab."""
    obj["metadata"].setdefault("labels", {}).update({PART_OF: WORKSHOP, LAB: lab})


def is_ours(obj: Object) -> bool:
    return lab_of(obj) is not None


def lab_of(obj: Object) -> str | None:
    """The lab that put the object there last; None when it was not the workshop."""
    labels = obj["metadata"].get("labels") or {}
    return labels.get(LAB, "") if labels.get(PART_OF) == WORKSHOP else None


def name_of(obj: Object) -> str:
    """As differences and messages name it: "Deployment bookinfo/reviews-v1"."""
    metadata = obj["metadata"]
    return f"{obj['kind']} " + "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def bare(obj: Object) -> Object:
    """What names the object, and nothing else of it."""
    metadata = {key: value for key, value in obj["metadata"].items() if key in ("name", "namespace")}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


def without_secrets(text: str) -> str:
    """YAML, or JSON, with what Secrets in it hold left out: to be shown, and written down."""
    if "Secret" not in text:
        return text
    import yaml

    try:
        objects = list(yaml.load_all(text, yaml.CSafeLoader))
    except yaml.YAMLError:
        return "# not shown: it may have a Secret in it"
    if not any(isinstance(obj, dict) and obj.get("kind") == "Secret" for obj in objects):
        return text
    return as_yaml(_closed(obj) if isinstance(obj, dict) else obj for obj in objects)


def _closed(obj: Object) -> Object:
    if obj.get("kind") != "Secret":
        return obj
    return {
        key: dict.fromkeys(value, "(not shown)") if key in ("data", "stringData") and value else value
        for key, value in obj.items()
    }


def namespace_object(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def as_yaml(objects: Iterable[Object]) -> str:
    import yaml

    return yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False, width=80, explicit_start=True)


def parse(text: str, file: str) -> list[Object]:
    """Kubernetes objects out of YAML documents. Raises UsageError with `file` and the line."""
    import yaml

    loader = _loader()(text)
    objects: list[Object] = []
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            content = loader.construct_document(node)
            if content is None:
                continue
            if problem := _problem(content):
                raise UsageError(f"read {file}, line {node.start_mark.line + 1}", problem)
            objects.append(content)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        where = f"{file}, line {at.line + 1}, column {at.column + 1}" if at else file
        raise UsageError(
            f"read {where}", error.problem or error.context or str(error), cause="the YAML is broken"
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UsageError(f"read {file}, line {line}", error.reason, cause="the YAML is broken") from error
    finally:
        loader.dispose()
    return objects


def _problem(content: object) -> str:
    if not isinstance(content, dict):
        return "this is no object (a mapping with apiVersion, kind and metadata)"
    metadata = content.get("metadata")
    for name, value in (("apiVersion", content.get("apiVersion")), ("kind", content.get("kind"))):
        if not isinstance(value, str):
            return f"the object has no {name}"
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return "the object has no metadata.name"
    scoped = content["kind"] in _CLUSTER_SCOPED
    if scoped == ("namespace" in metadata):
        kind = content["kind"]
        return (
            f"a {kind} has no namespace" if scoped else f"the {kind} says not in which metadata.namespace it goes"
        )
    return ""


@cache
def _loader() -> type[yaml.CSafeLoader]:
    """YAML as Kubernetes reads it: a date stays text, and a key that is there twice is an error. Made when it is
    needed, for `invoke --list` imports this module, and reads no YAML."""
    import yaml

    class Loader(yaml.CSafeLoader):
        yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is there twice", key.start_mark
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Loader


class Observed(Protocol):
    """Something to observe. Raises WorkshopError for as long as it is not there."""

    @property
    def names(self) -> tuple[str, ...]:
        """As manifests name what it gives."""
        ...

    async def values(self, run: Run) -> Mapping[str, str]: ...

    def commands(self, run: Run) -> tuple[str, ...]:
        """What a person types to set the variables that stand for it (see `variable`)."""
        ...


Value = Option | Observed


async def resolved_values(values: tuple[Value, ...], run: Run, *, strict: bool = False) -> dict[str, str]:
    """By name; with placeholders for what is not there yet, or with `strict` its WorkshopError."""
    found = placeholders(values, run)
    for value in values:
        if not isinstance(value, Option):
            try:
                found |= await value.values(run)
            except WorkshopError:
                if strict:
                    raise
    return found


def placeholders(values: tuple[Value, ...], run: Run) -> dict[str, str]:
    """As a person is shown them, with placeholders for what would have to be observed."""
    found: dict[str, str] = {}
    for value in values:
        if isinstance(value, Option):
            found[value.name] = value.text(run.options)
        else:
            found |= {name: f"${shell_variable(name)}" for name in value.names}
    return found


def shell_variable(name: str) -> str:
    """The shell's, which stands for what is to be observed."""
    return name.upper().replace("-", "_")


def shell_variables(values: tuple[Value, ...]) -> tuple[str, ...]:
    return tuple(shell_variable(name) for value in values if not isinstance(value, Option) for name in value.names)


def commands_that_set(values: tuple[Value, ...], run: Run) -> tuple[str, ...]:
    """The commands that set the variables."""
    return tuple(command for value in values if not isinstance(value, Option) for command in value.commands(run))
