"""A trace, found by an id that was chosen before the request was sent: the spans of all services it went through,
each a part of that of its caller and within its time. Where a fault delays a call, the delay is in the span of the
caller's proxy, which injects it, and not in that of the service called.

The request says by itself that it is to be traced (https://www.w3.org/TR/trace-context/), so this holds at any
sampling.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from itertools import pairwise

from workshop.kubernetes.ingress import Address, Ingress, url
from workshop.mesh import jaeger
from workshop.mesh.jaeger import Jaeger, Span, Trace
from workshop.runbook import events
from workshop.runbook.results import Hint, Verdict
from workshop.runbook.run import Run
from workshop.traffic.client import Unanswered, session

INGRESS = Ingress()
_TRIES = 40
"""Pages asked for until one has gone to the last service: with a share of 1/6, one is but for 1 of 1,000 times."""
_SECONDS = 60.0
"""For spans to be sent on and kept: Envoy's tracer sends them every 5 s."""
_FOLLOWED = 10
"""Of the pages sent last the traces are looked for."""
_SKEW = 0.05
"""Seconds by which clocks of nodes may differ."""


@dataclass(frozen=True, slots=True)
class Traced:
    """The proof for a page at `path`; `tells` is what a page says, as a regular expression, when it has gone
    through all of `services`, in order, in `namespace`."""

    path: str
    namespace: str
    services: tuple[str, ...]
    tells: str
    ingress: Ingress = INGRESS

    async def prove(self, run: Run) -> Verdict:
        base_url = await run.observe(self.ingress)
        trace = await self._found(run, Jaeger.of(run), base_url)
        if trace is None:
            said = f"none of {_TRIES} pages has gone through {' and '.join(self.services)}"
            return Verdict("inconclusive", f"{said}: no rule may send any there")
        run.emit(events.Told(run.lab, "\n".join((f"trace {trace.id}", *trace.lines()))))
        return self.judged(trace)

    def judged(self, trace: Trace) -> Verdict:
        last = self._of(trace, self.services[-1])
        if not last:
            return Verdict("fail", f"the trace {trace.id} has no span of {self.services[-1]}")
        ways = []
        for span in last:
            way = (span, *trace.above(span))
            if wrong := _out_of_order(way):
                return Verdict("fail", f"in the trace {trace.id} {wrong}")
            ways.append([self._service(one) for one in reversed(way)])
        names = list(dict.fromkeys(name for name in ways[0] if name in self.services))
        if names != list(self.services):
            missing = ", ".join(ways[0]) or "none"
            return Verdict("fail", f"the trace {trace.id} goes by {missing}, not by {', '.join(self.services)}")
        if wrong := self._delayed_elsewhere(trace):
            return Verdict("fail", wrong)
        delays = [span for span in trace.spans if "DI" in span.flags]
        said = f"one trace of {len(trace.spans)} spans goes through {', '.join(self.services)}, in order"
        late = "".join(f"; {_delay(span)}" for span in delays)
        return Verdict("pass", f"{said}{late}")

    def _delayed_elsewhere(self, trace: Trace) -> str:
        """A fault's delay is the calling proxy's: what is below such a span did not take as long."""
        for span in trace.spans:
            if "DI" not in span.flags:
                continue
            if span.is_server:
                return f"the delay is in the span of the called one, {span.service}"
            below = [one for one in trace.spans if one.parent == span.id]
            if any(one.seconds > span.seconds / 2 for one in below):
                return f"the delay of {span.service} is also in the span of {below[0].service}"
        return ""

    def _of(self, trace: Trace, service: str) -> list[Span]:
        return [span for span in trace.spans if self._service(span) == service]

    def _service(self, span: Span) -> str:
        """Envoy's spans are of "ratings.bookinfo"."""
        return span.service.partition(".")[0]

    async def _found(self, run: Run, there: Jaeger, base_url: str) -> Trace | None:
        """The first trace that is whole: of a page that has gone through all of the services, each span with what
        it is a part of, and nothing new since the look before. Connections that were open when tracing began are
        not traced until they are made anew, so each look asks for a page. None if no page went through all."""
        found: list[Trace] = []
        spans: dict[str, int] = {}
        pages = 0

        async def missing() -> str:
            nonlocal pages
            pages += 1
            id = secrets.token_hex(16)
            if await self._sent(base_url, id):
                spans[id] = 0
            elif pages >= _TRIES and not spans:
                return ""
            for one in list(spans)[-_FOLLOWED:]:
                trace = await there.trace(one)
                if trace is None:
                    continue
                ids = {span.id for span in trace.spans}
                roots = [span for span in trace.spans if span.parent not in ids]
                whole = len(roots) == 1 and all(self._of(trace, service) for service in self.services)
                if whole and len(trace.spans) == spans[one]:
                    found.append(trace)
                    return ""
                spans[one] = len(trace.spans)
            return f"{len(spans)} pages have an id, with {max(spans.values(), default=0)} spans at most so far"

        await run.wait(
            "a page's whole trace to be in Jaeger",
            missing,
            seconds=min(_SECONDS, run.patience),
            every=0.3,
            next_command=there.typed(next(reversed(spans), "ID")),
        )
        return found[0] if found else None

    async def _sent(self, base_url: str, id: str) -> bool:
        """Whether a page with this id for its trace has gone through all of them."""
        headers = {"traceparent": f"00-{id}-{secrets.token_hex(8)}-01"}
        async with session(base_url + self.path, request_timeout=60.0, headers=headers) as there:
            try:
                reply = await there.get("")
            except Unanswered:
                return False
        return reply.status == 200 and re.search(self.tells, reply.body.decode(errors="replace")) is not None

    def commands(self, run: Run) -> tuple[str, ...]:
        send = (
            f'curl -s -o /dev/null -H "traceparent: 00-$TRACE-00f067aa0ba902b7-01" http://$GATEWAY_URL{self.path}'
        )
        return (
            *self.ingress.commands(),
            "TRACE=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \\n')",
            send,
            "sleep 6  # proxies send their spans every 5 s",
            jaeger.command("$TRACE"),
        )

    def seen(self, run: Run) -> tuple[str, ...]:
        return (f"a trace through {', '.join(self.services)}, where the page has stars",)

    async def look_at(self, run: Run) -> tuple[Hint, ...]:
        host, port = await run.observe(Address(self.ingress))
        said = "then look for its trace in istioctl dashboard jaeger"
        return (Hint("open", f"{url(host, port)}{self.path}", said),)


def _out_of_order(way: tuple[Span, ...]) -> str:
    """What is wrong with the times of spans, each of which is a part of the next; nothing, when all is well."""
    for inner, outer in pairwise(way):
        if inner.start < outer.start - _SKEW:
            return f"{inner.service} began before {outer.service}, which called it"
    return ""


def _delay(span: Span) -> str:
    return f"the delay is where {span.service} calls ({span.operation}): {span.seconds:.2f} s"
