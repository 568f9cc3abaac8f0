"""A rating that is given on the page of Fruit Smoothies, as a browser does, and is still there when the page and
its API have been started anew: what they know is in the database, and nowhere else.

It is one rating among others: an attendee may rate meanwhile. So it is counted that there are more than before, and
not fewer after the restart. Where the image is another page, that has no such form, there is nothing to prove.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from workshop.kubernetes import rollout
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook import events
from workshop.runbook.results import Hint, Verdict
from workshop.runbook.run import Run
from workshop.traffic.client import Reply, Session, Unanswered, excerpt, session

STARS = "5"
_FRUIT = re.compile(r'<h2>([^<]*)</h2>.*?name="fruit" value="(\w+)"', re.DOTALL)
_KEPT = re.compile(r"(\d+) ratings? kept")
_MADE_BY = re.compile(r"Page made by <code>([^<]*)</code>")
_ANSWER_SECONDS, _VISIBLE_SECONDS, _RESTART_SECONDS = 15.0, 60.0, 180.0


@dataclass(frozen=True, slots=True)
class Page:
    """`kept` is how many ratings it says there are, `made_by` the pod that has made it."""

    fruits: tuple[tuple[str, str], ...]
    kept: int
    made_by: str


def read(body: bytes) -> Page | None:
    """None for a page that takes no ratings."""
    text = body.decode(errors="replace")
    fruits, kept, made_by = _FRUIT.findall(text), _KEPT.search(text), _MADE_BY.search(text)
    if not fruits or kept is None or made_by is None:
        return None
    return Page(tuple((unescape(name), value) for name, value in fruits), int(kept[1]), unescape(made_by[1]))


@dataclass(frozen=True, slots=True)
class KeptRating:
    """The proof, for the page at `path`. `deployments` are started anew, in `namespace`, and their pods are `ready`
    then. What only looks rates nothing and restarts nothing: that the page shows fruit is all there is to see."""

    path: str
    namespace: str
    deployments: tuple[str, ...]
    ready: str

    async def measure(self, run: Run, base_url: str) -> Verdict:
        async with session(base_url + self.path, request_timeout=_ANSWER_SECONDS) as there:
            first = read((await self._page(run, there, "the page")).body)
            if first is None:
                said = "the page takes no ratings: the image that the settings name is not that of Fruit Smoothies"
                run.emit(events.Told(run.lab, said))
                return Verdict("pass", "the page answers; it takes no ratings")
            names = ", ".join(name for name, _ in first.fruits)
            if run.only_looks:
                return Verdict("pass", f"the page shows {names}; {first.kept} ratings are kept")
            fruit, value = first.fruits[0]
            given = await self._rate(there, value)
            if given:
                return Verdict("fail", f"the page shows {names}, and takes no rating of {fruit}: {given}")
            rated = read((await self._page(run, there, "the page with a rating more")).body)
            if rated is None or rated.kept <= first.kept:
                return Verdict("fail", f"{STARS} stars for {fruit} are not kept: {_ratings(rated)} after them")
            await self._restart(run)
            after = read((await self._page(run, there, "the page of a new pod", not_by=rated.made_by)).body)
            if after is None or after.kept < rated.kept:
                return Verdict("fail", f"{_ratings(rated)} before the restart, {_ratings(after)} after it")
            said = f"the page shows {names}; {STARS} stars for {fruit} are kept over a restart of"
            counts = f"ratings before, with it, and now: {first.kept}, {rated.kept}, {after.kept}"
            return Verdict("pass", f"{said} {' and '.join(self.deployments)} ({counts})")

    async def _page(self, run: Run, there: Session, what: str, *, not_by: str = "") -> Reply:
        """Until it answers, and is made by another pod than `not_by`. Raises WorkshopError."""
        found: list[Reply] = []

        async def missing() -> str:
            try:
                reply = await there.get("")
            except Unanswered as error:
                return str(error)
            if reply.status != 200:
                return f"HTTP {reply.status}: {excerpt(reply.body)}"
            page = read(reply.body)
            if not_by and page and page.made_by == not_by:
                return f"it is still made by {not_by}"
            found.append(reply)
            return ""

        await run.wait(
            what,
            missing,
            seconds=min(_VISIBLE_SECONDS, run.patience),
            every=0.1,
            next_command=Kubectl.of(run).typed(f"kubectl get pods -n {self.namespace}"),
        )
        return found[0]

    async def _rate(self, there: Session, fruit: str) -> str:
        """What is said instead of thanks; nothing, when it is taken."""
        try:
            reply = await there.post("rate", (("fruit", fruit), ("stars", STARS)))
        except Unanswered as error:
            return str(error)
        return "" if reply.status == 303 else f"HTTP {reply.status}: {excerpt(reply.body)}"

    async def _restart(self, run: Run) -> None:
        kubectl = Kubectl.of(run)
        place = Place("Deployment", self.namespace)
        await kubectl.restart(self.namespace, self.deployments)
        there = {obj["metadata"]["name"]: obj for obj in (await kubectl.look([place]))[place] or ()}
        wanted = {
            (self.namespace, name): rollout.with_more(self.ready, there[name], there[name])
            for name in self.deployments
            if name in there
        }
        await rollout.wait(run, kubectl, wanted, seconds=_RESTART_SECONDS)
        run.facts.forget_what_changes()

    def commands(self, base_url: str) -> tuple[str, ...]:
        url, names = f"{base_url}{self.path}", " ".join(self.deployments)
        kept = f"curl -s {url} | grep -oE '[0-9]+ ratings? kept'"
        first = "grep -oE 'fruit\" value=\"[0-9a-f]+' | head -n 1 | grep -oE '[0-9a-f]+$'"
        fruit = f"FRUIT=$(curl -s {url} | {first})"
        rate = f"curl -s -o /dev/null -w '%{{http_code}}\\n' -d \"fruit=$FRUIT&stars={STARS}\" {url}rate"
        status = (f"kubectl rollout status -n {self.namespace} deployment/{name}" for name in self.deployments)
        restart = f"kubectl rollout restart deployment -n {self.namespace} {names}"
        return (fruit, rate, kept, restart, *status, kept)

    def look_at(self, base_url: str) -> Hint:
        return Hint("open", f"{base_url}{self.path}", self.seen())

    def seen(self) -> str:
        return f"Give a fruit its stars, restart {' and '.join(self.deployments)}, and load the page again"


def _ratings(page: Page | None) -> str:
    return f"{page.kept} ratings" if page else "no page of Fruit Smoothies"
