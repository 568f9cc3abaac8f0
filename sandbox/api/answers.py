"""Long answers go out in pieces: a megabyte encrypted at once is a pause for everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from aiohttp import web

_LONG = 256 << 10
_PIECE = 128 << 10


async def whole(
    request: web.BaseRequest, content: Sequence[bytes], headers: Mapping[str, str]
) -> web.StreamResponse:
    """`content`, one behind the other, as one answer of known length."""
    length = sum(map(len, content))
    if length < _LONG or request.method == "HEAD":
        return web.Response(body=b"".join(content), headers=headers)
    response = web.StreamResponse(headers=headers)
    response.content_length = length
    await response.prepare(request)
    for piece in _pieces(content):
        await response.write(piece)
        await asyncio.sleep(0)
    await response.write_eof()
    return response


def _pieces(content: Sequence[bytes]) -> Iterator[bytes]:
    for one in content:
        for start in range(0, len(one), _PIECE):
            yield one[start : start + _PIECE]
