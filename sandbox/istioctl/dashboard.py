"""`istioctl dashboard`: a port of this machine that leads to an add-on's page, or to a proxy's, until Ctrl-C.

The real kubectl forwards it. As the real istioctl does, it takes the port of the page itself where that is free,
and says the address on the first line.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass

from sandbox.istioctl.api_client import Invocation
from sandbox.istioctl.command_line import IstioctlError, UsageError
from sandbox.istioctl.proxy_config import pod_of

_FORWARDING = re.compile(r"Forwarding from \S+:(\d+) -> \d+")
_BROWSERS = {"linux": "xdg-open", "darwin": "open"}


@dataclass(frozen=True, slots=True)
class _Page:
    """Of which pods, by label, at which port, and where the page is there."""

    selector: str
    port: int
    path: str = ""


_PAGES = {
    "grafana": _Page("app.kubernetes.io/name=grafana", 3000),
    "jaeger": _Page("app=jaeger", 16686),
    "kiali": _Page("app=kiali", 20001, "/kiali"),
    "prometheus": _Page("app.kubernetes.io/name=prometheus", 9090),
    "envoy": _Page("", 15000),
}


def dashboard(invocation: Invocation) -> int:
    arguments = invocation.arguments
    page = _PAGES[arguments.command[-1]]
    remote = _port(arguments.text("ui-port") or str(page.port), "ui-port")
    local = _port(arguments.text("port"), "port")
    if page.selector:
        pod, namespace = _first(invocation, page.selector)
    elif len(arguments.words) != 1:
        raise UsageError("specify a pod; the sandbox's istioctl has no --selector")
    else:
        pod, namespace = pod_of(invocation.client, arguments.words[0], invocation.namespace)
    address = arguments.text("address")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    said = ""
    for wanted in (local,) if local else (remote, 0):
        words = ("port-forward", "-n", namespace, f"pod/{pod}", "--address", address, f"{wanted}:{remote}")
        with invocation.client.begin(*words) as forwarding:
            try:
                found, said = _said(forwarding)
                if found:
                    return _show(f"http://{address}:{found}{page.path}", forwarding, arguments.on("browser"))
            except KeyboardInterrupt:
                return 0
            finally:
                forwarding.terminate()
    raise IstioctlError(f"failure running port forward process: {said}")


def _said(forwarding: subprocess.Popen[str]) -> tuple[int, str]:
    """The port that is open; 0 where none is, and why."""
    assert forwarding.stdout is not None
    lines = []
    for line in forwarding.stdout:
        if found := _FORWARDING.match(line):
            return int(found[1]), ""
        lines.append(line.strip())
    return 0, "; ".join(filter(None, lines))


def _show(url: str, forwarding: subprocess.Popen[str], browser: bool) -> int:
    print(url)
    if not browser:
        print("skipping opening a browser")
    elif (program := shutil.which(_BROWSERS.get(sys.platform, ""))) is None:
        print(f"Failed to open browser; open {url} in your browser.")
    else:
        nowhere = subprocess.DEVNULL
        subprocess.Popen((program, url), stdout=nowhere, stderr=nowhere, start_new_session=True)
    sys.stdout.flush()
    assert forwarding.stdout is not None
    for _ in forwarding.stdout:  # one line for each connection
        pass
    return 0


def _first(invocation: Invocation, selector: str) -> tuple[str, str]:
    for namespace in (invocation.istio_namespace, invocation.namespace):
        for pod in invocation.client.list("v1", "Pod", namespace, selector):
            return str(pod["metadata"]["name"]), namespace
    raise IstioctlError(f"no pods found with selector {selector}")


def _port(given: str, flag: str) -> int:
    if not given.isdecimal() or int(given) > 65535:
        raise UsageError(f'invalid argument "{given}" for "--{flag}" flag: it is a port')
    return int(given)
