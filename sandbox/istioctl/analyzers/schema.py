"""Objects from files that a cluster would refuse (IST0106): what kubectl and istiod would say of them there.

Objects of the cluster have been through it. Imported when there are files: it brings all of the mesh with it.
"""

from __future__ import annotations

from functools import cache

from sandbox.core.cluster import ApiError, Resource
from sandbox.istioctl.analyzers.messages import Level, Message
from sandbox.istioctl.crds import crds
from sandbox.istioctl.resources import Object
from sandbox.mesh.validation import find_problems
from sandbox.schema import crd, decode, validate

_OWN_GROUPS = ".istio.io"


def check(obj: Object) -> tuple[list[Message], bool]:
    """What is wrong with an object, and whether it has the shape that the other analyzers rely on.

    Of kinds that are not Istio's only the shape is looked at. Fields that are not known are taken out.
    """
    problems, sound = _problems(obj)
    said = (f"Schema validation error: {problem}" for problem in problems)
    return [Message("IST0106", Level.Error, obj, text) for text in said], sound


def _problems(obj: Object) -> tuple[list[str], bool]:
    api_version, kind = obj["apiVersion"], obj["kind"]
    group, _, version = api_version.rpartition("/")
    known = _kinds().get((api_version, kind))
    if known is None and group.endswith(_OWN_GROUPS):
        return [f'no matches for kind "{kind}" in version "{api_version}"'], False
    resource = known.resource if known else Resource(group, version, "", kind, namespaced=True)
    crd_type = known.type if known else None
    try:
        unknown = decode.decode(resource, obj, crd_type=crd_type)
    except ApiError as error:
        return [error.message], False
    causes = validate.validate(resource, obj, crd_type)
    if causes:
        return [*unknown, *(f"{cause.field}: {cause.message}" for cause in causes)], False
    obj.setdefault("spec", {})
    return [*unknown, *find_problems(kind, obj)] if known else [], True


@cache
def _kinds() -> dict[tuple[str, str], crd.CustomKind]:
    served = (kind for one in crds() for kind in crd.establish(one))
    return {(kind.resource.api_version, kind.resource.kind): kind for kind in served}
