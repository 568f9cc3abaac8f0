"""The page for people: a field for a query, its answer as a table, and the targets. Without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sandbox.prometheus import numbers
from sandbox.prometheus.evaluation import Result, Row
from sandbox.prometheus.labels import NAME, Labels, quoted
from sandbox.prometheus.scraping import Followed

_MOST_ROWS = 1000

_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Metrics in the sandbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0 auto; max-width: 1100px; padding: 24px;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }}
form {{ display: flex; gap: 8px; margin: 16px 0; }}
input {{ flex: 1; min-width: 0; padding: 8px 12px; font: 15px/1.4 ui-monospace, monospace; }}
button {{ padding: 8px 20px; font: inherit; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; margin: 8px 0 24px; }}
th, td {{ text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid #8884; vertical-align: top; }}
td {{ font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }}
td.number, th.number {{ text-align: right; white-space: nowrap; padding-right: 0; }}
.error, .down {{ color: light-dark(#b00020, #ff8a80); }}
</style></head><body>
<h1>Metrics</h1>
<p>This is the sandbox's stand-in for Prometheus: {series} series of {targets} targets, scraped from the pods that
are annotated for it. It has a part of PromQL, and says so where it has not.</p>
<form action="query"><input name="query" value="{query}" placeholder="sum by (destination_workload)
 (rate(istio_requests_total[1m]))" aria-label="PromQL" autofocus spellcheck="false">
<button>Ask</button></form>
{answer}
<h2>Targets</h2>
<div class="scroll"><table><tr><th>Job</th><th>Address</th><th>Health</th><th class="number">Last asked</th></tr>
{rows}</table></div>
</body></html>
"""


def page(
    query: str, result: Result | None, error: str, followed: Sequence[Followed], series: int, now: float
) -> str:
    answer = ""
    if error:
        answer = f'<p class="error" role="alert">{escape(error)}</p>'
    elif result is not None:
        answer = _table(result)
    rows = "".join(
        f"<tr><td>{escape(one.target.labels.get('job', ''))}</td><td>{escape(one.target.url)}</td>"
        f'<td class="{one.health}">{escape(one.health)} {escape(one.error)}</td>'
        f'<td class="number">{f"{max(now - one.scraped, 0):.0f} s ago" if one.scraped else "never"}</td></tr>\n'
        for one in sorted(followed, key=lambda one: (one.target.labels.get("job", ""), one.target.url))
    )
    return _PAGE.format(series=series, targets=len(followed), query=escape(query), answer=answer, rows=rows)


def _table(result: Result) -> str:
    value = result.value
    if isinstance(value, str | float):
        said = value if isinstance(value, str) else numbers.without_exponent(value)
        return f"<p>{result.kind}: <code>{escape(said)}</code></p>"
    if not value:
        return "<p>No series.</p>"
    rows = "".join(
        f'<tr><td>{escape(_name(labels))}</td><td class="number">{escape(said)}</td></tr>\n'
        for labels, said in map(_said, value[:_MOST_ROWS])
    )
    rest = f"<p>and {len(value) - _MOST_ROWS} more</p>" if len(value) > _MOST_ROWS else ""
    head = '<tr><th>Series</th><th class="number">Value</th></tr>'
    return f'<div class="scroll"><table>{head}\n{rows}</table></div>{rest}'


def _said(row: Row | tuple[Labels, float]) -> tuple[Labels, str]:
    if isinstance(row, Row):
        return row.labels, " ".join(map(numbers.text, row.values[-20:]))
    return row[0], numbers.text(row[1])


def _name(labels: Labels) -> str:
    rest = ", ".join(f"{name}={quoted(value)}" for name, value in labels.ordered() if name != NAME)
    return labels[NAME] + (f"{{{rest}}}" if rest or not labels[NAME] else "")
