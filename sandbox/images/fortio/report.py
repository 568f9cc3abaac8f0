"""What fortio prints and writes of a run: its text, and its JSON document with the names of its own structures."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from sandbox.images import gofmt
from sandbox.images.fortio.load import Result
from sandbox.images.fortio.logger import INFO, WARNING, Logger
from sandbox.images.fortio.version import VERSION

_BEHIND = 5.0
"""Percent of pauses that came too late, above which fortio warns."""


def text(result: Result, logger: Logger) -> str:
    """All of a run's report but its first lines and its last."""
    options = result.options
    whole = logger.shows(WARNING)
    lines = [_ended(result)] if whole else []
    if options.qps > 0 and result.sleeps.count:
        lines.append(_sleeps(result, whole))
    for histogram, title in ((result.durations, "Aggregated Function Time"), (result.errors, "Error cases")):
        if whole:
            lines.append(histogram.text(title, options.percentiles))
        else:
            lines.append(histogram.summary(title))
            lines.append(histogram.targets(options.percentiles) if histogram is result.durations else "")
    lines.append("# Socket and IP used for each connection:\n")
    for number, (client, sockets) in enumerate(zip(result.clients, result.sockets, strict=False)):
        address = _addresses(client.addresses)
        used = f"[{number}] {sockets:3} socket used, resolved to {address}"
        lines.append(client.connecting.summary(f"{used}, connection timing"))
    if logger.shows(INFO):
        lines.append(result.connecting.text("Connection time histogram (s)", options.percentiles))
    elif whole:
        lines.append(result.connecting.summary("Connection time (s)"))
    lines.append(f"Sockets used: {sum(result.sockets)} (for perfect keepalive, would be {result.threads})\n")
    spread = {"Uniform": options.uniform, "Jitter": options.jitter, "Catchup allowed": not options.no_catch_up}
    lines.append(", ".join(f"{name}: {str(value).lower()}" for name, value in spread.items()) + "\n")
    lines.append("IP addresses distribution:\n")
    lines += [f"{address}: {count}\n" for address, count in result.addresses.most_common()]
    total = result.durations.count
    for code, count in sorted(result.codes.items()):
        lines.append(f"Code {code:3} : {count} ({100 * count / total:.1f} %)\n")
    if whole:
        lines.append(result.header_sizes.summary("Response Header Sizes"))
        lines.append(result.sizes.summary("Response Body/Total Sizes"))
    return "".join(lines)


def last_line(result: Result) -> str:
    warmup = 0 if result.options.calls > 0 else result.options.connections
    return (
        f"All done {result.durations.count} calls (plus {warmup} warmup)"
        f" {1000 * result.durations.average:.3f} ms avg, {result.qps:.1f} qps\n"
    )


def _ended(result: Result) -> str:
    return f"Ended after {gofmt.written(result.elapsed)} : {result.durations.count} calls. qps={result.qps:.5g}\n"


def _sleeps(result: Result, whole: bool) -> str:
    behind = 100 * result.sleeps.not_positive / result.sleeps.count
    if behind > _BEHIND:
        warning = f"WARNING {behind:.2f}% of sleep were falling behind\n"
        return result.sleeps.text("Aggregated Sleep Time", (50.0,)) + warning
    return result.sleeps.summary("Sleep times") if whole else ""


def _addresses(used: dict[str, int]) -> str:
    if len(used) == 1:
        return next(iter(used))
    return "[" + ", ".join(f"{address} ({count})" for address, count in used.items()) + "]"


def document(result: Result) -> dict[str, Any]:
    """fortio's HTTPRunnerResults."""
    options = result.options
    percentiles = options.percentiles
    return {
        "RunType": "HTTP",
        "Labels": result.labels,
        "StartTime": _moment(result.began),
        "RequestedQPS": result.requested_qps,
        "RequestedDuration": result.requested_duration,
        "ActualQPS": result.qps,
        "ActualDuration": result.elapsed,
        "NumThreads": result.threads,
        "Version": VERSION,
        "DurationHistogram": result.durations.exported(percentiles),
        "ErrorsDurationHistogram": result.errors.exported(percentiles),
        "Exactly": options.calls,
        "Jitter": options.jitter,
        "Uniform": options.uniform,
        "NoCatchUp": options.no_catch_up,
        "RunID": options.run_id,
        "AccessLoggerInfo": "",
        "ID": result.identity,
        "RetCodes": {str(code): count for code, count in sorted(result.codes.items())},
        "IPCountMap": dict(result.addresses),
        "Insecure": False,
        "MTLS": False,
        "CACert": "",
        "Cert": "",
        "Key": "",
        "UnixDomainSocket": "",
        "URL": result.url,
        "NumConnections": 1,
        "Compression": False,
        "DisableFastClient": options.standard_client,
        "HTTP10": False,
        "H2": False,
        "DisableKeepAlive": not options.keepalive,
        "AllowHalfClose": False,
        "FollowRedirects": False,
        "Resolve": "",
        "HTTPReqTimeOut": options.timeout,
        "UserCredentials": "",
        "ContentType": options.content_type,
        "Payload": base64.b64encode(options.payload.encode()).decode(),
        "MethodOverride": options.method,
        "LogErrors": options.log_errors,
        "SequentialWarmup": options.sequential_warmup,
        "ConnReuseRange": [0, 0],
        "NoResolveEachConn": False,
        "Offset": options.offset,
        "Resolution": options.resolution,
        "Sizes": result.sizes.exported(),
        "HeaderSizes": result.header_sizes.exported(),
        "Sockets": result.sockets,
        "SocketCount": sum(result.sockets),
        "ConnectionStats": result.connecting.exported(percentiles),
        "AbortOn": options.abort_on,
    }


def _moment(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")
