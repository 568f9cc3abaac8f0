"""`curl`, `wget` and `nslookup`, through the pod's own network."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from sandbox.images.commands import curl_headers, curl_write_out, options
from sandbox.images.commands.process import CommandFunction, Process, Usage

_FLAGS = {
    **dict.fromkeys("sSiIvLfkgN46", ""),
    **{"silent": "s", "show-error": "S", "include": "i", "head": "I", "verbose": "v", "location": "L", "fail": "f"},
    **{"insecure": "k", "globoff": "g", "no-buffer": "N", "http1.1": "http1.1", "compressed": "compressed"},
    **{"no-progress-meter": "s", "ipv4": "4", "ipv6": "6", "fail-with-body": "fail-with-body"},
}
_VALUED = {
    **dict.fromkeys("oHXdbcwmAeu", ""),
    **{
        "output": "o",
        "header": "H",
        "request": "X",
        "data": "d",
        "data-raw": "data-raw",
        "data-binary": "data-binary",
    },
    **{"cookie": "b", "cookie-jar": "c", "write-out": "w", "max-time": "m", "connect-timeout": "connect-timeout"},
    **{"user-agent": "A", "referer": "e", "user": "u", "retry": "retry", "resolve": "resolve", "url": "url"},
    **{"data-urlencode": "data-urlencode", "json": "json"},
}
_REFUSED = ("retry", "resolve", "data-urlencode", "6")
_MOST_REDIRECTS = 50


@dataclass(slots=True)
class _Call:
    found: dict[str, list[str]]
    cookies: dict[str, str]
    body: bytes | None
    facts: dict[str, str] = field(default_factory=dict)
    """What `-w` may ask of the transfer."""

    def has(self, name: str) -> bool:
        return name in self.found

    def last(self, name: str, default: str = "") -> str:
        return self.found.get(name, [default])[-1]


class _Failed(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def curl(process: Process) -> int:
    try:
        found, urls = options.parse(process.arguments, _FLAGS, _VALUED)
    except Usage as usage:
        return process.complain(f"{usage}\ncurl: the sandbox's curl knows {_known()}", 2)
    urls += found.get("url", [])
    for name in _REFUSED:
        if name in found:
            return process.complain(f"option {name} is not supported by the sandbox's curl", 2)
    for name in curl_write_out.unknown(found.get("w", [""])[-1]):
        return process.complain(f"variable {name} of -w is not supported by the sandbox's curl", 2)
    if not urls:
        return process.complain("(2) no URL specified", 2)
    call = await _call(process, found)
    status = 0
    async with process.container.network.new_session(decompress=call.has("compressed")) as session:
        for url in urls:
            call.facts = dict(curl_write_out.NOTHING)
            try:
                status = await _transfer(process, session, call, url)
            except _Failed as failed:
                status = failed.status
                if not call.has("s") or call.has("S"):
                    process.err(f"curl: ({status}) {failed}\n".encode())
            if call.has("w"):
                process.out(curl_write_out.written(call.last("w"), call.facts).encode())
    if call.has("c"):
        jar = "".join(f"{name}\t{value}\n" for name, value in call.cookies.items())
        process.container.files.write(process.path(call.last("c")), jar.encode())
    return status


def _known() -> str:
    return " ".join(sorted(f"-{name}" if len(name) == 1 else f"--{name}" for name in {**_FLAGS, **_VALUED}))


async def _call(process: Process, found: dict[str, list[str]]) -> _Call:
    cookies: dict[str, str] = {}
    for given in found.get("b", ()):
        if "=" in given:
            cookies |= dict(pair.strip().partition("=")[::2] for pair in given.split(";") if pair.strip())
        elif process.container.files.exists(process.path(given)):
            jar = (await process.input(given)).decode()
            cookies |= dict(line.split("\t", 1) for line in jar.splitlines())
    return _Call(found, cookies, await _body(process, found))


async def _body(process: Process, found: dict[str, list[str]]) -> bytes | None:
    pieces = []
    for name in ("d", "data-binary", "data-raw", "json"):
        for text in found.get(name, ()):
            if text.startswith("@") and name != "data-raw":
                data = await process.input(text[1:])
                pieces.append(data.replace(b"\r", b"").replace(b"\n", b"") if name == "d" else data)
            else:
                pieces.append(text.encode())
    return b"&".join(pieces) if pieces else None


async def _transfer(process: Process, session: aiohttp.ClientSession, call: _Call, given: str) -> int:
    url = _url(given)
    default = "HEAD" if call.has("I") else "GET" if call.body is None else "POST"
    method, body = call.last("X", default), call.body
    limit = float(call.last("m", "0")) or None
    began = time.perf_counter()
    try:
        async with asyncio.timeout(limit):
            for _ in range(_MOST_REDIRECTS):
                reply = await _request(process, session, call, method, url, body)
                further = _redirected(url, reply)
                if not (call.has("L") and further):
                    break
                await reply.read()
                url = further
                if method == "POST" and reply.status in (301, 302, 303):
                    method, body = "GET", None
            else:
                raise _Failed(47, f"Maximum ({_MOST_REDIRECTS}) redirects followed")
            size = await _receive(process, call, reply, method)
    except TimeoutError:
        waited = int((time.perf_counter() - began) * 1000)
        raise _Failed(28, f"Operation timed out after {waited} milliseconds with 0 bytes received") from None
    except aiohttp.ClientPayloadError as error:
        raise _Failed(18, "transfer closed with outstanding read data remaining") from error
    finally:
        call.facts |= {"time_total": f"{time.perf_counter() - began:.6f}", "url_effective": str(url)}
    call.facts["size_download"] = str(size)
    if call.has("f") and reply.status >= 400:
        raise _Failed(22, f"The requested URL returned error: {reply.status}")
    return 22 if call.has("fail-with-body") and reply.status >= 400 else 0


def _url(given: str) -> URL:
    url = URL(given if "://" in given else f"http://{given}")
    if url.scheme != "http":
        raise _Failed(1, f"Protocol {url.scheme!r} not supported: the sandbox's pods speak plain HTTP")
    if not url.raw_host:
        raise _Failed(3, "URL rejected: No host part in the URL")
    return url


def _redirected(url: URL, reply: aiohttp.ClientResponse) -> URL | None:
    location = reply.headers.get("Location")
    return url.join(URL(location)) if location and 300 <= reply.status < 400 else None


async def _request(
    process: Process, session: aiohttp.ClientSession, call: _Call, method: str, url: URL, body: bytes | None
) -> aiohttp.ClientResponse:
    headers = curl_headers.sent(call.found, call.cookies, with_body=body is not None)
    wait = aiohttp.ClientTimeout(total=None, sock_connect=float(call.last("connect-timeout", "0")) or None)
    call.facts |= {"http_code": "000", "response_code": "000", "content_type": "", "redirect_url": ""}
    try:
        reply = await session.request(method, url, headers=headers, data=body, allow_redirects=False, timeout=wait)
    except aiohttp.ConnectionTimeoutError as error:
        raise _Failed(28, "Connection timed out") from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, socket.gaierror):
            raise _Failed(6, f"Could not resolve host: {url.raw_host}") from error
        reason = error.os_error.strerror or "Connection refused"
        raise _Failed(7, f"Failed to connect to {url.raw_host} port {url.port}: {reason}") from error
    except aiohttp.ServerDisconnectedError as error:
        raise _Failed(52, "Empty reply from server") from error
    except aiohttp.ClientError as error:
        raise _Failed(56, f"Recv failure: {error}") from error
    for cookie in reply.cookies.values():
        call.cookies[cookie.key] = cookie.value
    call.facts |= {
        "http_code": str(reply.status),
        "response_code": str(reply.status),
        "http_version": "1.1",
        "content_type": reply.headers.get("Content-Type", ""),
        "redirect_url": str(_redirected(url, reply) or ""),
    }
    if call.has("v"):
        _narrate(process, method, url, headers, reply)
    if call.has("i") or call.has("I"):
        process.out(_head(reply))
    return reply


def _narrate(
    process: Process, method: str, url: URL, headers: curl_headers.Headers, reply: aiohttp.ClientResponse
) -> None:
    host = [] if any(name.lower() == "host" for name, _ in headers) else [("Host", url.authority)]
    lines = [f"* Connected to {url.raw_host} port {url.port}"]
    lines += [f"> {method} {url.raw_path_qs} HTTP/1.1", *(f"> {name}: {value}" for name, value in host + headers)]
    lines += [">", *(f"< {line}" for line in _head(reply).decode(errors="replace").splitlines())]
    process.err(("\n".join(lines) + "\n").encode())


def _head(reply: aiohttp.ClientResponse) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {reply.reason}".encode(), *(k + b": " + v for k, v in reply.raw_headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def _receive(process: Process, call: _Call, reply: aiohttp.ClientResponse, method: str) -> int:
    path = call.last("o", "-")
    write = process.out
    if path != "-":
        process.container.files.write(process.path(path), b"")
        write = lambda data: process.container.files.write(process.path(path), data, append=True)  # noqa: E731
    if method == "HEAD" or (call.has("f") and reply.status >= 400):
        reply.release()
        return 0
    size = 0
    async for data in reply.content.iter_any():
        write(data)
        size += len(data)
    return size


async def wget(process: Process) -> int:
    """busybox's: `-q -O- -S -T SECONDS`. Follows redirects; a status of 400 or more fails."""
    found, urls = options.parse(
        process.arguments,
        {"q": "", "S": "", "spider": "spider", "no-check-certificate": "k"},
        {"O": "", "T": "", "timeout": "T", "header": "header", "U": "", "post-data": "post-data"},
    )
    if len(urls) != 1:
        raise Usage("usage: wget [-q] [-S] [-O FILE] [-T SECONDS] [--header LINE] [--post-data TEXT] URL")
    arguments = ["-sSfL", *(["-i"] if "S" in found else [])]
    arguments += ["-o", "/dev/null"] if "spider" in found else []
    name = urls[0].rstrip("/").rsplit("/", 1)[-1]
    arguments += ["-o", found["O"][-1] if "O" in found else name]
    for option, of_curl in (("T", "-m"), ("U", "-A"), ("post-data", "-d"), ("header", "-H")):
        arguments += [word for value in found.get(option, ()) for word in (of_curl, value)]
    process.arguments = [*arguments, urls[0]]
    return int(await curl(process) != 0)


async def nslookup(process: Process) -> int:
    if len(process.arguments) != 1:
        raise Usage("usage: nslookup NAME")
    name = process.arguments[0]
    try:
        address = process.container.network.resolve(name)
    except OSError:
        return process.complain(f"can't resolve '{name}': Name does not resolve")
    process.print(f"Name:\t{name}\nAddress: {address}")
    return 0


COMMANDS: dict[str, CommandFunction] = {"curl": curl, "nslookup": nslookup, "wget": wget}
