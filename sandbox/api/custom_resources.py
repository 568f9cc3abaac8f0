"""CRDs at work: a kind is served as soon as its CRD is stored, and goes with it, objects first."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.api.kubectl_tables import json_path
from sandbox.api.writer import CRD_CLEANUP, DeleteOptions, Writer, delete
from sandbox.core.cluster import Admission, Object, Resource
from sandbox.core.constants import CRDS
from sandbox.core.objects import at, clone, terminating
from sandbox.schema.findings import Cause, bad_value, invalid


class CustomResources:
    """Keeps a writer's registry in step with the stored CRDs."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._registry = writer.registry
        writer.admission.append(self._check)
        writer.after_write.append(self._stored)
        writer.after_removal.append(self._removed)

    def _check(self, admission: Admission) -> None:
        """Refuse a CRD whose kind is taken, or whose columns could not be printed."""
        crd = admission.object
        if admission.resource.key != CRDS or admission.operation == "DELETE":
            return
        causes = [*self._taken(crd), *_unprintable(crd)]
        if causes:
            raise invalid(admission.resource, crd["metadata"]["name"], causes)

    def _taken(self, crd: Object) -> Iterator[Cause]:
        """A kind cannot be defined twice in a group."""
        key, group, kind = crd["metadata"]["name"], at(crd, "spec", "group"), at(crd, "spec", "names", "kind")
        for served in self._registry.all():
            own = self._registry.is_custom(key) and served.key == key
            if not own and served.group == group and (served.key == key or served.kind == kind):
                yield bad_value("spec.names.kind", kind, f"{served.key} has this name already")

    def _stored(self, resource: Resource, obj: Object) -> None:
        if resource.key != CRDS:
            return
        self._registry.serve_custom(obj)
        if terminating(obj):
            self._empty(obj)

    def _empty(self, crd: Object) -> None:
        """Ask for the removal of a terminating CRD's objects, and release it when there are none."""
        key = crd["metadata"]["name"]
        kind = self._registry.by_key(key)
        for obj in self._writer.store.list(key):
            if not terminating(obj):
                delete(self._writer, kind, obj, DeleteOptions())
        self._release(key)

    def _release(self, key: str) -> None:
        crd = self._writer.store.get(CRDS, None, key)
        if crd is None or not terminating(crd) or self._writer.store.list(key):
            return
        if CRD_CLEANUP not in crd["metadata"].get("finalizers", ()):
            return
        released = clone(crd)
        released["metadata"]["finalizers"].remove(CRD_CLEANUP)
        definition = self._registry.by_key(CRDS)
        self._writer.remove_if_done(definition, self._writer.put(definition, released))

    def _removed(self, resource: Resource, obj: Object) -> None:
        if resource.key == CRDS:
            key = obj["metadata"]["name"]
            self._registry.withdraw_custom(key)
            self._writer.store.drop(key)
        elif self._registry.is_custom(resource.key):
            self._release(resource.key)


def _unprintable(crd: Object) -> Iterator[Cause]:
    for i, version in enumerate(at(crd, "spec", "versions") or ()):
        for j, column in enumerate(version.get("additionalPrinterColumns") or ()):
            try:
                json_path(column.get("jsonPath", ""))
            except ValueError as error:
                field = f"spec.versions[{i}].additionalPrinterColumns[{j}].jsonPath"
                yield bad_value(field, column.get("jsonPath"), f"not supported by the sandbox: {error}")
