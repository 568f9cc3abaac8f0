"""`…/pods/NAME/proxy/…` and `…/services/NAME/proxy/…`: requests that the API server passes on, over plain HTTP.

NAME is `NAME`, `NAME:PORT` or `http:NAME:PORT`; a service's port may be named. As the real one's, requests come
from outside of any mesh. The answer is the program's own, with the links of pages, which a real one changes.
"""

from __future__ import annotations

import re

import aiohttp
from aiohttp import web
from yarl import URL

from sandbox.api.api_errors import bad_request, not_found
from sandbox.api.requests import RequestInfo
from sandbox.api.store import Store
from sandbox.core.addresses import listen_port
from sandbox.core.cluster import ApiError, Object
from sandbox.core.objects import at

_SLICES = "endpointslices.discovery.k8s.io"
_OF_THE_CONNECTION = {
    *(
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
    ),
    *("upgrade", "host", "content-length", "content-encoding", "authorization"),
}
"""Headers that are not passed on. The client's token is not the program's business."""
_LONGEST = aiohttp.ClientTimeout(total=60)


async def serve_proxy(request: web.Request, info: RequestInfo, store: Store) -> web.StreamResponse:
    """Raises ApiError while nothing was answered."""
    if "upgrade" in request.headers.get("Connection", "").lower():
        raise bad_request(f"{info.resource.plural}/proxy: upgrades of connections are not supported by the sandbox")
    if info.proxied is None:
        return web.Response(status=301, headers={"Location": f"{request.path}/"})
    scheme, name, port = _target(str(info.name))
    if scheme not in ("", "http"):
        raise bad_request(f"{info.resource.plural}/proxy: scheme {scheme}: not supported by the sandbox")
    found = store.get(info.resource.key, info.namespace, name)
    if found is None:
        raise not_found(info.resource, name)
    of_kind = _address_of_pod if info.resource.key == "pods" else _address_of_service
    address, number = of_kind(found, port, store)
    _, mark, query = request.raw_path.partition("?")  # as it was written: `+` and `%2B` are two things
    url = f"http://{address}:{listen_port(number)}/{info.proxied}{mark}{query}"
    headers = {key: value for key, value in request.headers.items() if key.lower() not in _OF_THE_CONNECTION}
    headers |= {
        "Host": f"{address}:{number}",
        "X-Forwarded-For": request.remote or "",
        "X-Forwarded-Uri": request.path,
    }
    try:
        body, target = await request.read() or None, URL(url, encoded=True)
        async with (
            aiohttp.ClientSession(timeout=_LONGEST, auto_decompress=False) as session,
            session.request(request.method, target, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for key, value in answer.headers.items():
                if key.lower() not in _OF_THE_CONNECTION or key.lower() == "content-encoding":
                    response.headers.add(key, value)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ApiError(503, "ServiceUnavailable", f"error trying to reach service: {error or 'timeout'}") from error


def _target(text: str) -> tuple[str, str, str]:
    """Scheme, name and port; the first and the last may be empty."""
    parts = text.split(":")
    if len(parts) > 3:
        raise bad_request(f'invalid request "{text}"')
    scheme, name, port = parts if len(parts) == 3 else ("", *parts, "")[:3]
    return scheme, name, port


def _address_of_pod(pod: Object, port: str, _: Store) -> tuple[str, int]:
    name, address = pod["metadata"]["name"], at(pod, "status", "podIP")
    if not address:
        raise bad_request("address not allowed")
    if not port:
        containers = pod["spec"]["containers"]
        declared = [one["containerPort"] for each in containers for one in each.get("ports") or ()]
        port = str(declared[0]) if declared else "80"
    if not re.fullmatch(r"\d{1,5}", port):
        raise bad_request(f'invalid pod request "{name}:{port}"')
    return address, int(port)


def _address_of_service(service: Object, port: str, store: Store) -> tuple[str, int]:
    """A ready endpoint's."""
    name, ports = service["metadata"]["name"], at(service, "spec", "ports") or []
    if port.isdecimal():
        asked = [one for one in ports if str(one["port"]) == port]
    else:
        asked = [one for one in ports if one.get("name", "") == port] if port or len(ports) != 1 else ports
    if not asked:
        raise ApiError(503, "ServiceUnavailable", f'no service port "{port}" found for service "{name}"')
    labels = {"kubernetes.io/service-name": name}
    for listed in store.list(_SLICES, service["metadata"]["namespace"], labels):
        for target in listed.get("ports") or ():
            if (target.get("name") or "") != asked[0].get("name", ""):
                continue
            for endpoint in listed.get("endpoints") or ():
                if at(endpoint, "conditions", "ready") is not False:
                    return endpoint["addresses"][0], target["port"]
    raise ApiError(503, "ServiceUnavailable", f'no endpoints available for service "{service["metadata"]["name"]}"')
