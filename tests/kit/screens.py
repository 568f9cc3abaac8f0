"""Renders a view to a string, as a terminal of some width would get it, or a log."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

from rich.console import Console, RenderableType

from workshop.console.lines import Lines
from workshop.console.live import LiveScreen
from workshop.console.screen import PlainScreen
from workshop.console.words import UNICODE, Glyphs
from workshop.runbook.errors import WorkshopError
from workshop.runbook.events import (
    Command,
    Event,
    LabFinished,
    LabStarted,
    Measured,
    Progress,
    RunFinished,
    RunStarted,
    StepFinished,
    StepPhase,
    StepStarted,
    Told,
    Waiting,
)
from workshop.runbook.results import Bar, Check, Difference, Measurement, Outcome, Verdict

_SGR = re.compile(r"\x1b\[[0-9;]*m")
_COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|9[0-7]|38|48)[0-9;]*m")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def bare(text: str) -> str:
    """Without styles."""
    return _SGR.sub("", text)


def coloured(text: str) -> bool:
    return bool(_COLOUR.search(text))


def words(text: str) -> list[str]:
    """What is said, however the lines are broken."""
    return bare(text).split()


def terminal(width: int) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, color_system="standard", width=width, highlight=False, _environ={}
    )


def live_screen(width: int = 80, *, echo: bool = False, debug: bool = False) -> LiveScreen:
    return LiveScreen(terminal(width), Lines(width, UNICODE, debug), echo=echo)


def written(screen: LiveScreen) -> str:
    assert isinstance(screen.console.file, io.StringIO)
    return screen.console.file.getvalue()


def live(events: Iterable[Event], width: int = 80, *, echo: bool = False, debug: bool = False) -> str:
    """What stays on a terminal."""
    screen = live_screen(width, echo=echo, debug=debug)
    for event in events:
        screen.listen(event)
    return written(screen)


def plain(events: Iterable[Event], *, echo: bool = False, debug: bool = False, glyphs: Glyphs = UNICODE) -> str:
    file = io.StringIO()
    screen = PlainScreen(file, debug=debug, echo=echo, glyphs=glyphs)
    with screen:
        for event in events:
            screen.listen(event)
    return file.getvalue()


def region(screen: LiveScreen) -> str:
    """What moves at the bottom of a terminal now."""
    with screen.console.capture() as captured:
        screen.console.print(screen.moving())
    return bare(captured.get())


def rendered(lines: Iterable[RenderableType], width: int = 80) -> str:
    console = terminal(width)
    for line in lines:
        console.print(line)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


PODS = """\
NAME                              READY   STATUS    RESTARTS   AGE
details-v1-766844796b-p2l6f       2/2     Running   0          4s
productpage-v1-54bb874995-kcqtv   2/2     Running   0          3s
ratings-v1-5dc79b6bcd-vm9rp       2/2     Running   0          4s"""

CREATED = Check((Difference("Deployment bookinfo/details-v1"), Difference("Service bookinfo/details")))

THIRDS = Check(
    tuple(
        Difference("VirtualService bookinfo/reviews", f"spec.http[0].route[{place}].weight", wanted, found)
        for place, (wanted, found) in enumerate([(33, 100), (33, 0), (34, 0)])
    )
)

STARS = (("no stars", "none"), ("black stars", "black"), ("red stars", "red"))


def measured(*shares: float, expected: tuple[float, ...] = (0.33, 0.33, 0.34), errors: int = 0) -> Measurement:
    return Measurement(
        "Stars on the product page",
        tuple(
            Bar(label, share, wanted, (max(0.0, wanted - 0.032), min(1.0, wanted + 0.032)), colour)
            for (label, colour), share, wanted in zip(STARS, shares, expected, strict=True)
        ),
        samples=2604,
        seconds=1.42,
        errors=errors,
    )


PASS = Verdict("pass", "every share is as expected (2604 of 2604 answered)", (measured(0.324, 0.337, 0.339),))

FORBIDDEN = WorkshopError(
    "kubectl apply -f - (Gateway bookinfo/bookinfo-gateway)",
    'Error from server (Forbidden): gateways.networking.istio.io is forbidden: User "ada" cannot create it',
    cause="this account may not create Istio's objects in the namespace",
    next_command="kubectl auth can-i create gateways.networking.istio.io -n bookinfo",
)


def finished(
    lab: str, number: int, title: str, outcome: Outcome, seconds: float = 0.3, **more: object
) -> StepFinished:
    return StepFinished(lab, number, title, outcome, seconds, **more)  # type: ignore[arg-type]


def whole_run() -> Iterator[Event]:
    """Two labs at once, then one with a probe, then one that fails and one that is skipped for it."""
    yield RunStarted(
        "", ("istio.install", "istio.inject", "istio.canary", "istio.gateway", "istio.identity"), "sandbox", 11
    )
    yield LabStarted("istio.install", "Install Istio", 2, ("istio.canary",))
    yield StepStarted("istio.install", 1, "Check that the cluster is fit for Istio")
    yield StepPhase("istio.install", 1, "check")
    yield Command("istio.install", ("/opt/bin/istioctl", "x", "precheck", "--context=primary"), step=1)
    yield finished("istio.install", 1, "Check that the cluster is fit for Istio", "unchanged", 0.1)
    yield StepStarted("istio.install", 2, "Install the control plane and the ingress gateway")
    yield StepPhase("istio.install", 2, "apply", CREATED)
    yield LabStarted("istio.inject", "Let Istio inject sidecars into two namespaces", 1, ("istio.canary",))
    yield StepStarted("istio.inject", 1, "Create the namespaces primary and bookinfo")
    yield StepPhase("istio.inject", 1, "apply", CREATED)
    yield Command("istio.inject", ("kubectl", "--context", "primary", "apply", "-f", "-"), "a: 1\nb: 2\n", step=1)
    yield Waiting("istio.install", "istiod to be ready", "1 of 2 deployments", 3.0, 120.0, step=2)
    yield finished("istio.inject", 1, "Create the namespaces primary and bookinfo", "changed", 0.4, check=CREATED)
    yield LabFinished("istio.inject", 0.4, True)
    yield Waiting("istio.install", "istiod to be ready", "1 of 2 deployments", 12.0, 120.0, step=2)
    yield Told("istio.install", "client 1.31.1, control plane 1.31.1", step=2)
    yield finished(
        "istio.install", 2, "Install the control plane and the ingress gateway", "changed", 14.2, check=CREATED
    )
    yield LabFinished("istio.install", 14.3, True)
    yield LabStarted("istio.canary", "Release reviews v3 as a canary", 4)
    yield finished("istio.canary", 1, "Name the versions of all four services as subsets", "unchanged", 0.0)
    yield StepStarted("istio.canary", 2, "All requests to v1")
    yield finished(
        "istio.canary",
        2,
        "All requests to v1",
        "changed",
        0.8,
        check=Check((THIRDS.differences[0],), "off the path: 80/20/0"),
        note="off the path: 80/20/0",
    )
    yield StepStarted("istio.canary", 3, "A third to each of v1, v2 and v3")
    yield StepPhase("istio.canary", 3, "verify")
    yield Progress("istio.canary", "Stars on the product page", 1024, 2604, step=3)
    yield Told("istio.canary", PODS, step=3)
    yield finished(
        "istio.canary", 3, "A third to each of v1, v2 and v3", "changed", 2.1, check=THIRDS, verdict=PASS
    )
    yield StepStarted("istio.canary", 4, "All requests to v3")
    few = Verdict("inconclusive", "212 of 2604 answered: too few to tell", (measured(0, 0.08, 0.92, errors=2392),))
    yield finished("istio.canary", 4, "All requests to v3", "inconclusive", 5.0, check=THIRDS, verdict=few)
    yield LabFinished("istio.canary", 8.0, False)
    yield LabStarted("istio.gateway", "Open the ingress gateway for BookInfo", 2)
    yield StepStarted("istio.gateway", 1, "Open a port and route the page's paths to productpage")
    yield StepPhase("istio.gateway", 1, "apply", CREATED)
    yield finished(
        "istio.gateway",
        1,
        "Open a port and route the page's paths to productpage",
        "failed",
        0.6,
        check=CREATED,
        error=FORBIDDEN,
    )
    yield finished("istio.gateway", 2, "Find the address", "skipped", 0.0, note="a step before has not converged")
    yield LabFinished("istio.gateway", 0.6, False)
    yield LabStarted("istio.identity", "Route by who is logged in", 2)
    for number, title in ((1, "Jason gets v2"), (2, "Everybody else gets v3")):
        yield finished("istio.identity", number, title, "skipped", 0.0, note="istio.gateway has not converged")
    yield LabFinished("istio.identity", 0.0, False)
    yield RunFinished(
        "",
        1,
        74.3,
        {"changed": 4, "unchanged": 2, "failed": 1, "inconclusive": 1, "skipped": 3},
        "invoke lab.istio",
    )


def breaker() -> Iterator[Event]:
    """A step that measures twice before its own verdict, in a lab of which a step was skipped before."""
    yield RunStarted("", ("istio.circuit-breaker",), "sandbox", 2)
    yield LabStarted("istio.circuit-breaker", "Break the circuit of httpbin", 2)
    yield finished("istio.circuit-breaker", 1, "Deploy httpbin", "skipped", 0.0, note="not asked for")
    yield StepStarted("istio.circuit-breaker", 2, "Limit the connections to one")
    for connections, share in ((1, 1.0), (2, 0.8)):
        title = "one connection" if connections == 1 else "two connections"
        measurement = Measurement(f"Answers over {title}", (Bar("200", share), Bar("503", 1 - share)), 40, 0.2)
        verdict = Verdict("pass", f"{title}: as expected", (measurement,))
        yield Progress("istio.circuit-breaker", title, 40, 40, step=2)
        yield Measured("istio.circuit-breaker", title.capitalize(), verdict, step=2)
    yield finished(
        "istio.circuit-breaker",
        2,
        "Limit the connections to one",
        "changed",
        1.2,
        verdict=Verdict("pass", "more connections, more 503"),
    )
    yield LabFinished("istio.circuit-breaker", 1.2, True)
