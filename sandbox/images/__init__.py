"""The images the sandbox knows, by the last part of their name (any registry will do), and their tags.

A registry knows which tags were pushed, and a typing error in one ends in ErrImagePull. So it does here: the tags
are those that the workshop, its old pages and Istio's samples name. They exist (of BookInfo since Istio 1.12,
https://github.com/istio/istio/tree/master/samples), though there are others. A program that is not listed has any
tag.
"""

from __future__ import annotations

from collections.abc import Collection

from sandbox.images import (
    bookinfo,
    commands,
    fortio,
    grafana,
    helloworld,
    httpbin,
    jaeger,
    mongod,
    podinfo,
    smoothies,
)
from sandbox.images.program import Factory

PROGRAMS: dict[str, Factory] = {
    **bookinfo.PROGRAMS,
    **commands.PROGRAMS,
    **fortio.PROGRAMS,
    **grafana.PROGRAMS,
    **helloworld.PROGRAMS,
    **httpbin.PROGRAMS,
    **jaeger.PROGRAMS,
    **mongod.PROGRAMS,
    **podinfo.PROGRAMS,
    **smoothies.PROGRAMS,
}

_BOOKINFO = (
    *("1.15.0", "1.15.1", "1.16.0", "1.16.1", "1.16.2", "1.16.3", "1.16.4", "1.17.0", "1.18.0"),
    *("1.19.0", "1.19.1", "1.20.0", "1.20.1", "1.20.2", "1.20.3"),
)
_HELLOWORLD = ("latest", "1.0")
_ISTIO = ("1.31.1", "1.31.1-distroless", "1.31.1-debug")

TAGS: dict[str, Collection[str]] = {
    **{f"examples-bookinfo-{name}-v1": _BOOKINFO for name in ("details", "productpage", "ratings")},
    **{f"examples-bookinfo-reviews-v{version}": _BOOKINFO for version in (1, 2, 3)},
    "examples-helloworld-v1": _HELLOWORLD,
    "examples-helloworld-v2": _HELLOWORLD,
    "alpine": ("latest", "3", "3.20", "3.21", "3.22"),
    "busybox": ("latest", "1.28", "1.36", "1.37"),
    "curl": ("latest", "8.15.0", "8.16.0"),
    "fortio": ("latest", "latest_release", "1.75.2"),
    "grafana": ("latest", "12.0.1"),
    "go-httpbin": ("latest", "v2.15.0", "2.18.3", "v2.18.3"),
    "httpbin": ("latest",),
    "jaeger": ("latest", "2.17.0"),
    "kiali": ("latest", "v2.27"),
    "mongo": ("latest", "4.4", "8.0", "8.0.15"),
    "pause": ("latest", "3.1", "3.2", "3.9", "3.10"),
    "pilot": _ISTIO,
    "podinfo": ("latest", "6.7.0", "6.9.1", "6.9.2"),
    "prometheus": ("latest", "v3.7.3", "v3.10.0"),
    "prometheus-config-reloader": ("v0.86.1", "v0.89.0"),
    "proxyv2": _ISTIO,
    **dict.fromkeys(("ratings-api", "ratings-web"), ("latest", "v1", "v1.0.0")),
}
"""By the last part of the image's name."""


def missing(image: str, known: Collection[str]) -> str:
    """Why `image` cannot be pulled, as a kubelet with containerd would say it; "" when it can. One that is named by
    its digest alone is taken for what it says it is."""
    reference, _, digest = image.partition("@")
    last = reference.rsplit("/", 1)[-1]
    name, _, tag = last.partition(":")
    if name not in known:
        return f'unknown image "{image}": the sandbox has no registry'
    if name not in TAGS or (digest and not tag) or (tag or "latest") in TAGS[name]:
        return ""
    full = image if tag else f"{image}:latest"
    return f'failed to pull and unpack image "{full}": failed to resolve image: {full}: not found'
