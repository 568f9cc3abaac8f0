"""The API's refusals, worded as Kubernetes words them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..cluster import ApiError, Resource


def details(resource: Resource, name: str, causes: Iterable[Mapping[str, str]] = ()) -> dict[str, object]:
    """A Status' details. `kind` is the plural, except where Kubernetes gives the kind (Invalid)."""
    found: dict[str, object] = {"name": name, "kind": resource.plural}
    if resource.group:
        found["group"] = resource.group
    if listed := [dict(cause) for cause in causes]:
        found["causes"] = listed
    return found


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource.key} "{name}" not found', details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{resource.key} "{name}" already exists', details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.key} "{name}": {why}'
    return ApiError(409, "Conflict", message, details(resource, name))


def modified(resource: Resource, name: str) -> ApiError:
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    message = f'{resource.key} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, details(resource, name))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def invalid(resource: Resource, name: str, causes: Iterable[Mapping[str, str]]) -> ApiError:
    """422. A cause has reason, message and field, as in the Status' details."""
    listed = list(causes)
    parts = [f"{cause['field']}: {cause['message']}" for cause in listed]
    text = parts[0] if len(parts) == 1 else "[" + ", ".join(parts) + "]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    info = {**details(resource, name, listed), "kind": resource.kind}
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', info)


def cause(field: str, message: str, reason: str = "FieldValueInvalid") -> dict[str, str]:
    return {"reason": reason, "message": message, "field": field}
