"""What is at a place (`kinds.Place`), asked of the API server: lists in pages, and metadata alone where they do."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from workshop.kubernetes.api_proxy import Answer, ApiProxy, ProxyFailed
from workshop.kubernetes.kinds import KINDS, Kind, Place
from workshop.kubernetes.manifests import Object

_PAGE = 500
"""Objects of a list in one answer, as kubectl asks for them."""
_EXPIRED = 410
_WHOLE = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""Accepted of an object, where its metadata are enough."""
_METADATA_OF_ALL = METADATA.replace("Metadata;", "MetadataList;")


class Refused(Exception):
    """The API server answered, and with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.content.get("message", answer.status)))
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Found:
    """`items` are None where the cluster does not have such a kind. `watch` is the path of a list's changes since
    then."""

    items: list[Object] | None
    watch: str = ""


async def read(proxy: ApiProxy, place: Place) -> Found:
    """Raises ProxyFailed and Refused."""
    kind = KINDS[place.kind]
    found = await _read(proxy, place, kind.version)
    if found.items is None and kind.group and (version := await _served(proxy, kind)) not in ("", kind.version):
        return await _read(proxy, place, version)
    return found


async def _read(proxy: ApiProxy, place: Place, version: str) -> Found:
    path = _path(place, version)
    if place.name:
        answer = await proxy.request("GET", path, accept=METADATA if place.named_only else _WHOLE)
        if answer.status == 404:
            return Found([] if answer.content.get("details", {}).get("name") else None)
        if not answer.ok:
            raise Refused(answer)
        return Found([_typed(answer.content, place)])
    found = await _listed(proxy, path, _selected(place), _METADATA_OF_ALL if place.named_only else _WHOLE)
    if found is None:
        return Found(None)
    items, resource_version = found
    return Found([_typed(item, place) for item in items], f"{path}?{_watching(place, resource_version)}")


async def metadata_of(proxy: ApiProxy, kind: Kind, namespace: str, selector: str) -> list[Object]:
    """Of all of any kind that a cluster has, those that the selector takes. Raises ProxyFailed and Refused."""
    found = await _listed(
        proxy, kind.path(namespace), {"labelSelector": selector} if selector else {}, _METADATA_OF_ALL
    )
    return [{**item, "apiVersion": kind.api_version, "kind": kind.name} for item in (found or ([], ""))[0]]


async def _listed(
    proxy: ApiProxy, path: str, selected: dict[str, str], accept: str
) -> tuple[list[Object], str] | None:
    """Page by page, and the resourceVersion of the last; None where the cluster does not have such a kind."""
    items: list[Object] = []
    page = {"limit": str(_PAGE)}
    while True:
        query = urlencode(page | selected, quote_via=quote)
        answer = await proxy.request("GET", f"{path}?{query}", accept=accept)
        if answer.status == 404:
            return None
        if answer.status == _EXPIRED and "continue" in page:
            items, page = [], {}  # what the pages are of is no longer kept: all of it at once
            continue
        if not answer.ok:
            raise Refused(answer)
        items += answer.content.get("items") or ()
        metadata = answer.content.get("metadata", {})
        if not metadata.get("continue"):
            return items, metadata.get("resourceVersion", "")
        page = {"limit": str(_PAGE), "continue": metadata["continue"]}


async def _served(proxy: ApiProxy, kind: Kind) -> str:
    """The version of the group that the cluster prefers, empty where it does not have the group."""
    answer = await proxy.request("GET", "/apis")
    if not answer.ok:
        raise Refused(answer)
    try:
        preferred = {group["name"]: group["preferredVersion"]["version"] for group in answer.content["groups"]}
    except (KeyError, TypeError) as error:
        raise ProxyFailed(f"/apis does not say which version of {kind.group} there is") from error
    return str(preferred.get(kind.group, ""))


def _path(place: Place, version: str) -> str:
    return KINDS[place.kind].path(place.namespace, place.name, version=version)


def _watching(place: Place, resource_version: str) -> str:
    query = {
        "watch": "1",
        "resourceVersion": resource_version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "290",
    }
    return urlencode(query | _selected(place), quote_via=quote)


def _selected(place: Place) -> dict[str, str]:
    by = {"labelSelector": place.selector, "fieldSelector": place.fields}
    return {which: text for which, text in by.items() if text}


def _typed(item: Object, place: Place) -> Object:
    """With what the items of a list leave to the list, and metadata alone do not tell."""
    kind = KINDS[place.kind]
    if item.get("kind") != kind.name:
        item["apiVersion"], item["kind"] = kind.api_version, kind.name
    return item
