"""The API's refusals, worded as Kubernetes words them."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.core.cluster import ApiError, Resource


def details(resource: Resource, name: str) -> dict[str, object]:
    """A Status' details. `kind` is the plural, as Kubernetes has it everywhere but in Invalid."""
    found: dict[str, object] = {"name": name, "kind": resource.plural}
    if resource.group:
        found["group"] = resource.group
    return found


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource.key} "{name}" not found', details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{resource.key} "{name}" already exists', details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.key} "{name}": {why}'
    return ApiError(409, "Conflict", message, details(resource, name))


def modified(resource: Resource, name: str) -> ApiError:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    message = f'{resource.key} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, details(resource, name))


def kind_refused(resource: Resource, name: str) -> ApiError:
    """Of a kind that a real cluster has and this one does nothing with."""
    what = f'{resource.key} "{name}"' if name else resource.key
    message = f"{what} is forbidden: {resource.kind}: not supported by the sandbox"
    return ApiError(403, "Forbidden", message, details(resource, name))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def not_served(what: str = "") -> ApiError:
    """Kubernetes' words, which clients know, and then `what` it is that the sandbox does not have."""
    told = f" (the sandbox has no {what})" if what else ""
    return ApiError(404, "NotFound", f"the server could not find the requested resource{told}")


def media_type_refused(got: str, known: Iterable[str]) -> ApiError:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}"
    return ApiError(415, "UnsupportedMediaType", f"{message} (got {got})")


def namespace_terminating(resource: Resource, name: str, namespace: str) -> ApiError:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    return forbidden(resource, name, why)
