"""A trace, found by an id that was chosen before the request was sent: the spans of all services it went through,
each a part of that of its caller and within its time. Where a fault delays a call, the delay is in the span of the
caller's proxy, which injects it, and not in that of the service called. While a rule injects one, a second trace
is looked for that has it; the page may have been given up on by then, and come without what was late.

The request brings the id, as what it is a part of (https://www.w3.org/TR/trace-context/). Whether it is traced is
for the proxy that it comes to first: where only a share is, pages are asked for until one has been.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass
from itertools import pairwise

from workshop.kubernetes.ingress import Address, Ingress, url
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.mesh import jaeger
from workshop.mesh.jaeger import Jaeger, Span, Trace
from workshop.mesh.mesh_rules import Fault, rules_of
from workshop.runbook import events
from workshop.runbook.options import Number
from workshop.runbook.results import Hint, Verdict
from workshop.runbook.run import Run
from workshop.traffic.client import Unanswered, session
from workshop.traffic.measuring import wait_in_vain

INGRESS = Ingress()
_TRIES = 40
"""Pages asked for until one has gone to the last service, and at once for one that is delayed: with a share of 1/6,
one is but for 1 of 1,000 times."""
_SELDOM = 100 / 6
"""Percent. Of calls that are delayed less often no trace is looked for."""
_SECONDS = 60.0
"""For spans to be sent on and kept: Envoy's tracer sends them every 5 s."""
_AT_ONCE = 4
"""Pages that each look asks for: of a service with two versions one goes the whole way but for 1 of 16 looks."""
_FOLLOWED = 40
"""Of the pages sent last the traces are looked for: of those of some 20 s."""
_ALL = 100
"""Percent."""
_SKEW = 0.05
"""Seconds by which clocks of nodes may differ."""


@dataclass(frozen=True, slots=True)
class Traced:
    """The proof for a page at `path`; `tells` is what a page says, as a regular expression, when it has gone
    through all of `services`, in order, in `namespace`. `sampling` says of what percentage of requests there is a
    trace: where not of all, that none was found says nothing."""

    path: str
    namespace: str
    services: tuple[str, ...]
    tells: str
    sampling: Number | None = None
    ingress: Ingress = INGRESS

    async def prove(self, run: Run) -> Verdict:
        base_url = await run.observe(self.ingress)
        there = Jaeger.of(run)
        trace, missing = await self._found(run, there, base_url)
        if missing:
            share = self.sampling.of(run.options) if self.sampling else _ALL
            said = f"{share} % of requests are traced, and no page's whole trace has come to Jaeger: {missing}"
            return Verdict("fail" if share == _ALL else "inconclusive", said)
        if trace is None:
            said = f"none of {_TRIES} pages has gone through {' and '.join(self.services)}"
            return Verdict("inconclusive", f"{said}: no rule may send any there")
        self._tell(run, trace, "a page")
        verdict = self.judged(trace)
        fault = await self._delaying(run)
        if verdict.kind != "pass" or fault is None:
            return verdict
        late = trace if delays_of(trace) else await self._delayed(run, there, base_url)
        if late is not trace:
            self._tell(run, late, f"a page that met the fault ({fault.said} of the calls to {_first(fault.host)})")
        found = judged_delays(late)
        return Verdict(found.kind, f"{verdict.reason}; {found.reason}" if found.kind == "pass" else found.reason)

    def _tell(self, run: Run, trace: Trace, what: str) -> None:
        run.emit(events.Told(run.lab, "\n".join((f"trace {trace.id} of {what}", *trace.lines()))))

    def judged(self, trace: Trace) -> Verdict:
        last = self._of(trace, self.services[-1])
        if not last:
            return Verdict("fail", f"the trace {trace.id} has no span of {self.services[-1]}")
        for span in last:
            way = (span, *trace.above(span))
            if wrong := _out_of_order(way):
                return Verdict("fail", f"in the trace {trace.id} {wrong}")
            names = list(dict.fromkeys(_first(one.service) for one in reversed(way)))
            if [name for name in names if name in self.services] != list(self.services):
                said = f"goes by {', '.join(names)}, not by {', '.join(self.services)}"
                return Verdict("fail", f"the trace {trace.id} {said}")
        said = f"one trace of {len(trace.spans)} spans goes through {', '.join(self.services)}, in order"
        return Verdict("pass", said)

    async def _delaying(self, run: Run) -> Fault | None:
        """What holds calls to one of the services back, often enough to be met."""
        place = Place("VirtualService", self.namespace)
        there = await Kubectl.of(run).look([place])
        for fault in rules_of(there[place] or ()).faults:
            if _first(fault.host) in self.services and not fault.when and fault.delayed >= _SELDOM:
                return fault
        return None

    def _of(self, trace: Trace, service: str) -> list[Span]:
        return [span for span in trace.spans if _first(span.service) == service]

    async def _found(self, run: Run, there: Jaeger, base_url: str) -> tuple[Trace | None, str]:
        """The first trace that is whole: of a page that has gone through all of the services, each span with what
        it is a part of, and nothing new since the look before. Connections that were open when tracing began are
        not traced until they are made anew, so each look asks for pages. None if no page went through all, and what
        is still missing when that takes too long."""
        found: list[Trace] = []
        spans: dict[str, int] = {}
        pages = 0

        async def missing() -> str:
            nonlocal pages
            pages += _AT_ONCE
            ids = [secrets.token_hex(16) for _ in range(_AT_ONCE)]
            passed = await asyncio.gather(*(self._sent(base_url, id) for id in ids))
            spans.update((id, 0) for id, whole in zip(ids, passed, strict=True) if whole)
            if pages >= _TRIES and not spans:
                return ""
            for one in list(spans)[-_FOLLOWED:]:
                trace = await there.trace(one)
                if trace is None:
                    continue
                whole = _is_whole(trace) and all(self._of(trace, service) for service in self.services)
                if whole and len(trace.spans) == spans[one]:
                    found.append(trace)
                    return ""
                spans[one] = len(trace.spans)
            return f"{len(spans)} pages have an id, with {max(spans.values(), default=0)} spans at most so far"

        within = min(_SECONDS, run.patience)
        still = await wait_in_vain(run, "a page's whole trace to be in Jaeger", missing, seconds=within)
        return (found[0] if found else None), still

    async def _delayed(self, run: Run, there: Jaeger, base_url: str) -> Trace:
        """One of a page of which a call was held back, with what is above it. Whoever asked may have given up
        before, and the page have come without an answer to that call. Raises WorkshopError."""
        ids = [secrets.token_hex(16) for _ in range(_TRIES)]
        await asyncio.gather(*(self._sent(base_url, id) for id in ids))
        found: list[Trace] = []
        spans = 0

        async def missing() -> str:
            nonlocal spans
            for id in ids:
                trace = await there.trace(id)
                if trace is None or not delays_of(trace) or not _is_whole(trace):
                    continue
                if len(trace.spans) == spans:
                    found.append(trace)
                    return ""
                spans = len(trace.spans)
                return f"one has {spans} spans so far"
            return f"none of {len(ids)} pages has one yet"

        await run.wait(
            "the trace of a delayed page to be in Jaeger",
            missing,
            seconds=min(_SECONDS, run.patience),
            every=0.3,
            next_command=there.typed(ids[0]),
        )
        return found[0]

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
        get = "curl -s -o /dev/null"
        send = f'{get} -H "traceparent: 00-$TRACE-00f067aa0ba902b7-01" http://$GATEWAY_URL{self.path}'
        return (
            *self.ingress.commands(),
            "sleep 2  # until all proxies know of the change",
            "# connections that were open before are not traced, and end with their next answer",
            f"for i in $(seq 20); do {get} http://$GATEWAY_URL{self.path}; done",
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


def delays_of(trace: Trace) -> list[Span]:
    return [span for span in trace.spans if span.is_delayed]


def judged_delays(trace: Trace) -> Verdict:
    """A fault's delay is the calling proxy's: what is below such a span did not take as long."""
    said = []
    for span in delays_of(trace):
        if span.is_server:
            return Verdict(
                "fail", f"in the trace {trace.id} the delay is in the span of {span.service}, the called one"
            )
        below = [one for one in trace.spans if one.parent == span.id]
        if late := [one for one in below if one.seconds > span.seconds / 2]:
            return Verdict(
                "fail",
                f"in the trace {trace.id} the delay of {span.service} is also in the span of {late[0].service}",
            )
        given_up = ", until its caller gave up" if "DC" in span.flags else ""
        said.append(f"the delay is where {span.service} calls ({span.operation}): {span.seconds:.2f} s{given_up}")
    return Verdict("pass", "; ".join(said))


def _is_whole(trace: Trace) -> bool:
    """Each span with what it is a part of, but for the first."""
    ids = {span.id for span in trace.spans}
    return len([span for span in trace.spans if span.parent not in ids]) == 1


def _first(name: str) -> str:
    """Envoy's spans are of "ratings.bookinfo", and rules are for hosts."""
    return name.partition(".")[0]
