"""The images the sandbox knows, by the last part of their name; any registry will do, and the tags in `tags`."""

from __future__ import annotations

from sandbox.images import bookinfo, fortio, helloworld, httpbin, mongod, podinfo, smoothies, tools
from sandbox.images.program import Factory

PROGRAMS: dict[str, Factory] = {
    **bookinfo.PROGRAMS,
    **fortio.PROGRAMS,
    **helloworld.PROGRAMS,
    **httpbin.PROGRAMS,
    **mongod.PROGRAMS,
    **podinfo.PROGRAMS,
    **smoothies.PROGRAMS,
    **tools.PROGRAMS,
}
