"""The pages for people: a list of traces, and one trace as a waterfall. Without scripts and outside resources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from sandbox.core.durations import to_go
from sandbox.jaeger.spans import Span, Trace, Value

_COLORS = 8
_ROW = 26
_TICKS = 4
_LETTER = 1.0
"""Percent of the width that one takes, where the page is 1280 pixels wide."""

_HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><style>
:root {{ color-scheme: light dark; --line: light-dark(#d5d8dc, #3a3f45); --soft: light-dark(#5b6168, #a3aab2);
  --bad: light-dark(#b00020, #ff8a80); --band: light-dark(#f4f5f7, #1d2024);
  --c0: light-dark(#2563a8, #6fb1f2); --c1: light-dark(#1b7f5c, #5fd1a6); --c2: light-dark(#a35a00, #f0ae5a);
  --c3: light-dark(#7a3fa0, #c79bea); --c4: light-dark(#0f7285, #5fcde0); --c5: light-dark(#8a6d00, #dcc44f);
  --c6: light-dark(#a8326b, #f295bf); --c7: light-dark(#4c5c6b, #a9bac9); }}
body {{ margin: 0 auto; max-width: 1400px; padding: 24px;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }}
h1 {{ margin: 0 0 4px; font-size: 24px; line-height: 1.3; overflow-wrap: anywhere; }}
p {{ margin: 4px 0 16px; }}
.soft {{ color: var(--soft); }}
.bad {{ color: var(--bad); }}
form {{ display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: end; margin: 16px 0; }}
label {{ display: grid; font-size: 13px; color: var(--soft); }}
input, select, button {{ padding: 7px 10px; font: inherit; font-size: 15px; max-width: 100%; height: 40px;
  box-sizing: border-box; }}
::placeholder {{ color: var(--soft); opacity: 1; }}
input {{ width: 11em; }} input.tag {{ width: 15em; }} input.number {{ width: 5em; }}
table {{ border-collapse: collapse; width: 100%; table-layout: fixed; }}
th, td {{ text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }}
th {{ font-size: 13px; color: var(--soft); font-weight: 500; }}
td.number, th.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
details {{ border-bottom: 1px solid var(--line); }}
summary {{ display: grid; grid-template-columns: minmax(220px, 38%) 1fr; align-items: center; cursor: pointer;
  list-style: none; }}
summary::-webkit-details-marker {{ display: none; }}
summary:hover, details[open] > summary {{ background: var(--band); }}
.name {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap; padding: 3px 12px 3px 0;
  font-size: 14px; }}
.name b {{ font-weight: 600; }}
svg {{ display: block; width: 100%; overflow: visible; }}
svg text {{ font: 12px system-ui, "Segoe UI", Roboto, sans-serif; fill: currentColor; }}
svg .tick {{ stroke: var(--line); }}
.axis {{ display: grid; grid-template-columns: minmax(220px, 38%) 1fr; border-bottom: 1px solid var(--line);
  font-size: 13px; color: var(--soft); }}
details table {{ margin: 4px 0 14px; font-size: 13px; }}
details td:first-child {{ width: 30%; color: var(--soft); }}
@media (max-width: 699px) {{
  summary, .axis {{ grid-template-columns: 45% 1fr; }}
  .axis text:not(:first-child, :last-child), table.list :is(td, th):nth-child(2) {{ display: none; }}
  td.number, th.number {{ white-space: normal; }}
}}
</style></head><body>
"""
_NOTE = """<p class="soft">This is the sandbox's stand-in for Jaeger. It keeps the last traces in memory.</p>
"""
_NONE = """<p>No traces. Open a page of the application, and reload this one: a trace is here a little after its
request, where a Telemetry resource has requests traced.</p>
"""
_END = "</body></html>\n"

_FLAGS = {
    "DI": "delayed by a fault",
    "FI": "aborted by a fault",
    "UO": "refused by the breaker",
    "UH": "no healthy pod",
    "UT": "timed out",
    "DC": "caller left",
}
"""Envoy's, of those that are explained
(https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#response-flags)."""


def search(
    base: str, services: Iterable[str], traces: Iterable[Trace], asked: Mapping[str, str], refusal: str = ""
) -> str:
    """`asked` are the parameters of the search; `refusal` is why there is no answer."""
    chosen = asked.get("service", "")
    options = "".join(
        f"<option{' selected' if name == chosen else ''}>{escape(name)}</option>" for name in services
    )

    def field(name: str, says: str, hint: str, kind: str = "") -> str:
        value = escape(asked.get(name, ""))
        said = f'name="{name}" value="{value}" placeholder="{escape(hint)}" class="{kind}"'
        return f"<label>{says}<input {said}></label>\n"

    rows = "".join(_row(base, trace) for trace in traces)
    listed = (
        '<table class="list"><tr><th scope="col" style="width:40%">First span</th><th scope="col">Services</th>'
        '<th scope="col" class="number" style="width:6%">Spans</th>'
        '<th scope="col" class="number" style="width:9%">Took</th>'
        '<th scope="col" class="number" style="width:16%">Began (UTC)</th></tr>\n'
        f"{rows}</table>\n"
    )
    return (
        _HEAD.format(title="Traces in the sandbox")
        + f"<h1>Traces</h1>\n{_NOTE}"
        + f'<form action="{escape(base)}/search"><label>Service<select name="service"><option value="">any</option>'
        + f"{options}</select></label>\n"
        + field("operation", "Operation", "any")
        + field("tag", "Tag", "response_flags:DI", "tag")
        + field("minDuration", "Took at least", "100ms", "number")
        + field("limit", "Show at most", "20", "number")
        + "<button>Find</button></form>\n"
        + (f'<p class="bad" role="alert">{escape(refusal)}</p>\n' if refusal else listed if rows else _NONE)
        + _END
    )


def _row(base: str, trace: Trace) -> str:
    root = trace.root
    failed = sum(span.failed for span in trace.spans)
    services = ", ".join(dict.fromkeys(span.service for span in trace.spans))
    errors = f' <span class="bad">{failed} failed</span>' if failed else ""
    link = f"{escape(base)}/trace/{quote(trace.id)}"
    return (
        f'<tr><td><a href="{link}">{_breakable(root.service)}: {_breakable(root.operation)}</a>{errors}'
        f'<br><span class="soft">{trace.id[:7]}</span></td><td>{escape(services)}</td>'
        f'<td class="number">{len(trace.spans)}</td><td class="number">{_length(trace.duration)}</td>'
        f'<td class="number">{_time(trace.start)}</td></tr>\n'
    )


def waterfall(base: str, trace: Trace) -> str:
    root, whole = trace.root, max(trace.duration, 1)
    services = list(dict.fromkeys(span.service for span in trace.spans))
    colors = {service: f"var(--c{index % _COLORS})" for index, service in enumerate(services)}
    rows = "".join(_span(span, depth, colors[span.service], trace.start, whole) for depth, span in trace.tree())
    flags = {flag: None for span in trace.spans for flag in _flags(span)}
    explained = ", ".join(f"{flag}: {_FLAGS[flag]}" for flag in flags)
    noted = f'<p class="soft">{explained}</p>\n' if flags else ""
    said = (
        trace.id,
        f"{_time(trace.start)} UTC",
        f"took {_length(trace.duration)}",
        f"{len(trace.spans)} spans of {len(services)} services",
    )
    return (
        _HEAD.format(title=f"Trace {trace.id[:7]}")
        + f'<p><a href="{escape(base)}/search">Traces</a></p>\n'
        + f"<h1>{_breakable(root.service)}: {_breakable(root.operation)}</h1>\n"
        + f'<p class="soft">{" &middot; ".join(said)}</p>\n{_NOTE}'
        + f'<div class="axis"><span>Service and operation</span>{_axis(whole)}</div>\n{rows}{noted}{_END}'
    )


def _axis(whole: int) -> str:
    anchors = ["start", *["middle"] * (_TICKS - 1), "end"]
    marks = "".join(
        f'<text x="{100 * at / _TICKS:g}%" y="15" text-anchor="{anchor}">{_length(whole * at // _TICKS)}</text>'
        for at, anchor in enumerate(anchors)
    )
    return f'<svg height="20" role="img" aria-label="time">{marks}</svg>'


def _span(span: Span, depth: int, color: str, start: int, whole: int) -> str:
    left, wide = 100 * (span.start - start) / whole, max(100 * span.duration / whole, 0.15)
    ticks = "".join(
        f'<line class="tick" x1="{100 * at / _TICKS:g}%" x2="{100 * at / _TICKS:g}%" y1="0" y2="{_ROW}"/>'
        for at in range(_TICKS + 1)
    )
    took = ", ".join((_length(span.duration) + (" failed" if span.failed else ""), *_flags(span)))
    right, room = left + wide, min(max(12.0, _LETTER * len(took)), 49.0)
    # Behind the bar where there is room, else before it, else in the middle of it.
    if right < 100 - room:
        at, anchor, gap = right, "start", 6
    elif left > room:
        at, anchor, gap = left, "end", -6
    else:
        at, anchor, gap = (left + right) / 2, "middle", 0
    fill = "light-dark(#fff, #000)" if gap == 0 else "var(--bad)" if span.failed else "currentColor"
    return (
        f'<details><summary><span class="name" style="padding-left:{min(depth, 20) * 14}px" '
        f'title="{escape(span.service)} {escape(span.operation)}">'
        f'<b style="color:{color}">{escape(span.service)}</b> {escape(span.operation)}</span>'
        f'<svg height="{_ROW}" role="img" aria-label="{took} from {_length(span.start - start)}">{ticks}'
        f'<rect x="{left:.3f}%" y="6" width="{wide:.3f}%" height="{_ROW - 12}" rx="2" style="fill:{color}"/>'
        f'<text x="{at:.3f}%" dx="{gap}" y="17" text-anchor="{anchor}" style="fill:{fill}">{took}</text></svg>'
        f"</summary>\n{_tags(span)}</details>\n"
    )


def _flags(span: Span) -> Iterator[str]:
    for flag in str(span.tags.get("response_flags", "-")).split(","):
        if flag in _FLAGS:
            yield flag


def _breakable(text: str) -> str:
    """Where a line may end in a name that is too long for one."""
    return re.sub(r"([/:.|])(?=[^/:.|])", r"\1<wbr>", escape(text))


def _tags(span: Span) -> str:
    told: dict[str, Value] = {
        "operation": span.operation,
        "span": span.id,
        **({"parent": span.parent} if span.parent else {}),
    }
    rows = [*told.items(), *sorted(span.tags.items())]
    rows += [(f"process: {name}", value) for name, value in sorted(span.process.items())]
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in rows)
    return f"<table>{body}</table>"


def _length(microseconds: int) -> str:
    """As Go prints it, with three digits or four that count."""
    step = 10 ** max(len(str(microseconds)) - 4, 0)
    return to_go(round(microseconds / step) * step * 1000)


def _time(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}"
