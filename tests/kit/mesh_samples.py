"""What proxies of BookInfo and of httpbin tell Prometheus, in the notation of `kit/prometheus.py`: a canary of
reviews on its way, a fault for ratings, a breaker that is open. Labels are Istio's
(https://istio.io/latest/docs/reference/config/metrics/); of calls that got to no pod, those of the destination are
"unknown" but for the service's."""

from __future__ import annotations

import re
from collections.abc import Iterator

SCRAPES = 9
"""Each 15 s, the last at NOW."""
NOW = 120.0
BOUNDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


def bookinfo(v1: float = 8.0, v3: float = 2.0) -> dict[str, str]:
    """With so many requests a second for versions of reviews."""
    series: dict[str, str] = {}
    page, whole = "productpage-v1", v1 + v3
    gateway = {"source_workload": "istio-ingressgateway", "source_workload_namespace": "istio-system"}
    series |= call(whole, "unknown", "", "istio-ingressgateway", service="istio-ingressgateway", at="istio-system")
    series |= call(whole, **gateway, destination=page, service="productpage", slow=250)
    series |= call(whole, page, destination="details-v1", service="details", slow=10)
    for version, rate in (("v1", v1), ("v2", 0.0), ("v3", v3)):
        series |= call(rate, page, destination=f"reviews-{version}", service="reviews", version=version, slow=50)
    series |= call(v3 / 2, "reviews-v3", destination="ratings-v1", service="ratings", slow=10)
    series |= call(v3 / 2, "reviews-v3", destination="ratings-v1", service="ratings", slow=10000, flags="DI")
    series |= call(0.0, "reviews-v2", destination="ratings-v1", service="ratings")
    return series


def breaker() -> dict[str, str]:
    fortio = {"source": "fortio", "service": "httpbin", "at": "primary"}
    return {
        **call(30.0, **fortio, destination="httpbin", slow=25),
        **call(10.0, **fortio, destination="unknown", code="503", flags="UO", slow=5),
    }


def database() -> dict[str, str]:
    """TCP, which has bytes and no requests."""
    series: dict[str, str] = {}
    for way, rate in (("sent", 900), ("received", 2100)):
        name = labels("ratings-v2", "bookinfo", "mongodb-v1", "v1", "mongodb", "bookinfo", "source")
        series[f"istio_tcp_{way}_bytes_total{{{name}}}"] = _grows(rate)
    return series


def call(
    rate: float,
    source: str = "",
    source_namespace: str = "",
    destination: str = "",
    *,
    service: str,
    at: str = "bookinfo",
    version: str = "v1",
    code: str = "200",
    flags: str = "-",
    slow: int = 25,
    reporters: tuple[str, ...] = ("source", "destination"),
    source_workload: str = "",
    source_workload_namespace: str = "",
) -> dict[str, str]:
    """Requests a second, each of which took at most `slow` ms, as both proxies tell of them. Who has no proxy, and
    who was not reached, tells nothing."""
    source, source_namespace = source_workload or source, source_workload_namespace or source_namespace or at
    series: dict[str, str] = {}
    for reporter in reporters:
        if (reporter == "source" and source == "unknown") or (
            reporter == "destination" and destination == "unknown"
        ):
            continue
        ends = labels(source, source_namespace, destination, version, service, at, reporter)
        told = f'{ends}, response_code="{code}", response_flags="{flags}", request_protocol="http"'
        series[f"istio_requests_total{{{told}}}"] = _grows(rate)
        for bound in (*BOUNDS, "+Inf"):
            in_it = bound == "+Inf" or int(bound) >= slow
            name = f'istio_request_duration_milliseconds_bucket{{{told}, le="{bound}"}}'
            series[name] = _grows(rate if in_it else 0.0)
    return series


def labels(
    source: str, source_namespace: str, destination: str, version: str, service: str, namespace: str, reporter: str
) -> str:
    reached = destination != "unknown"
    found = {
        "reporter": reporter,
        "source_workload": source,
        "source_workload_namespace": "unknown" if source == "unknown" else source_namespace,
        "destination_workload": destination,
        "destination_workload_namespace": namespace if reached else "unknown",
        "destination_version": version if reached else "unknown",
        "destination_service": f"{service}.{namespace}.svc.cluster.local",
        "destination_service_name": service,
        "destination_service_namespace": namespace,
    }
    return ", ".join(f'{name}="{value}"' for name, value in found.items())


def _grows(rate: float) -> str:
    return f"0+{rate * 15:g}x{SCRAPES - 1}"


def each_second(series: dict[str, str]) -> dict[str, str]:
    """The same of a Prometheus that looks each second: so fast follows who observes it."""
    found = {}
    for name, notation in series.items():
        begin, step = re.fullmatch(r"([\d.]+)(?:\+([\d.]+))?x\d+", notation).groups()  # type: ignore[union-attr]
        times = range(round(NOW) - 12, round(NOW) + 1)
        found[name] = " ".join(f"{time}s={float(begin) + float(step or 0) / 15 * time:g}" for time in times)
    return found


def rules() -> Iterator[dict[str, object]]:
    """A canary of reviews at 80/20, half of the calls to ratings late by 7 s, httpbin's limits."""

    def made(kind: str, name: str, namespace: str, spec: dict[str, object]) -> dict[str, object]:
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}

    def to(host: str, subset: str, weight: int) -> dict[str, object]:
        return {"destination": {"host": host, "subset": subset}, "weight": weight}

    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2", "v3")]
    for service in ("reviews", "ratings"):
        yield made("DestinationRule", service, "bookinfo", {"host": service, "subsets": subsets})
    route = [to("reviews", "v1", 80), to("reviews", "v3", 20)]
    yield made("VirtualService", "reviews", "bookinfo", {"hosts": ["reviews"], "http": [{"route": route}]})
    late = {"delay": {"percentage": {"value": 50}, "fixedDelay": "7s"}}
    faulty = {"fault": late, "route": [{"destination": {"host": "ratings", "subset": "v1"}}]}
    yield made("VirtualService", "ratings", "bookinfo", {"hosts": ["ratings"], "http": [faulty]})
    policy = {
        "connectionPool": {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}},
        "outlierDetection": {"consecutive5xxErrors": 1},
    }
    yield made("DestinationRule", "httpbin", "primary", {"host": "httpbin", "trafficPolicy": policy})
