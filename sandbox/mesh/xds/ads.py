"""What Envoy is told, and in which order.

`Ads.publish` takes what is wanted otherwise than before. Of that, what differs from what Envoy has goes over the
wire, and nothing else is looked at: a change costs what it changes. It goes in an order in which no request ever
meets a route to a cluster that is not there yet: clusters, their endpoints, listeners, route tables, and last the
clusters that nothing needs any more. Each step waits until Envoy has acknowledged the one before, so that when
`publish` returns the change is in effect.

Envoy subscribes to all clusters and listeners (wildcard), and by name to the endpoints and route tables that
those refer to. A refusal (NACK) names its reason, but not always the resource, and of several in one message Envoy
may have looked at none: they are sent again in two halves, until what is refused is alone. That is logged and kept
in `refused`, and not sent again before it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import ParseError
from google.protobuf.message import Message

from sandbox.core.turns import Turns
from sandbox.mesh.xds import envoy_messages
from sandbox.mesh.xds.grpc_server import RESPONSE, Call

log = logging.getLogger(__name__)

Resource = dict[str, Any]
Kind = str

CLUSTERS: Kind = "envoy.config.cluster.v3.Cluster"
ENDPOINTS: Kind = "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENERS: Kind = "envoy.config.listener.v3.Listener"
ROUTES: Kind = "envoy.config.route.v3.RouteConfiguration"
KINDS = (CLUSTERS, ENDPOINTS, LISTENERS, ROUTES)
_BY_NAME = (ENDPOINTS, ROUTES)
_ACKNOWLEDGE_SECONDS, _SECONDS_EACH = 5.0, 0.02
"""What Envoy has to acknowledge a change, and more for each resource in it: a cluster with TLS takes it half a
millisecond where nothing else runs."""


Changes = Mapping[Kind, Mapping[str, Resource | None]]
"""Resources by kind and name; None for one that is wanted no more."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What Envoy should have, by name. A cluster's endpoints and a listener's routes go by their own names."""

    clusters: Mapping[str, Resource] = field(default_factory=dict)
    endpoints: Mapping[str, Resource] = field(default_factory=dict)
    listeners: Mapping[str, Resource] = field(default_factory=dict)
    routes: Mapping[str, Resource] = field(default_factory=dict)

    def of(self, kind: Kind) -> Mapping[str, Resource]:
        return {
            CLUSTERS: self.clusters,
            ENDPOINTS: self.endpoints,
            LISTENERS: self.listeners,
            ROUTES: self.routes,
        }[kind]


class Ads:
    """The configuration of one Envoy. `handle` serves its stream; there is one at a time."""

    def __init__(self, on_refusal: Callable[[Kind, str, str], None]) -> None:
        """`on_refusal` is told the kind, the name and Envoy's reason."""
        self.wanted: dict[Kind, dict[str, Resource]] = {kind: {} for kind in KINDS}
        """All that Envoy should have."""
        self.on_refusal = on_refusal
        self.refused: dict[tuple[Kind, str], str] = {}
        """Envoy's reason, for each resource whose last version it did not take, by kind and name."""
        self._stream: _Stream | None = None
        self._publishing = asyncio.Lock()

    async def publish(self, changes: Changes) -> None:
        """Returns when they are in effect (or when there is no Envoy to tell)."""
        async with self._publishing:
            for kind, changed in changes.items():
                of_kind = self.wanted[kind]
                for name, resource in changed.items():
                    if resource is None:
                        of_kind.pop(name, None)
                    else:
                        of_kind[name] = resource
            if self._stream is not None:
                await self._stream.update(changes)

    async def handle(self, call: Call) -> None:
        stream = self._stream = _Stream(call, self)
        self.refused.clear()
        try:
            async for message in call.messages():
                stream.received(message)
        finally:
            stream.closed()
            if self._stream is stream:
                self._stream = None


class _Stream:
    def __init__(self, call: Call, ads: Ads) -> None:
        self._call, self._ads = call, ads
        self._sent: dict[Kind, dict[str, Resource | None]] = {kind: {} for kind in KINDS}
        self._due: dict[Kind, dict[str, None]] = {kind: dict.fromkeys(ads.wanted[kind]) for kind in KINDS}
        """Names of what may differ from what was sent."""
        self._written: dict[int, tuple[Resource, bytes]] = {}
        """Resources, by their identity, as they go over the wire."""
        self._subscribed: dict[Kind, set[str]] = {kind: set() for kind in _BY_NAME}
        self._nonces = itertools.count(1)
        self._unacknowledged: dict[str, Mapping[str, Resource]] = {}
        """What was sent, by nonce."""
        self._asked: set[Kind] = set()
        """Kinds Envoy is ready for. It ignores what it has not asked for yet, when it starts."""
        self._open = True
        self._progress = asyncio.Event()

    def closed(self) -> None:
        self._open = False
        self._progress.set()

    def received(self, request: Any) -> None:
        """A DeltaDiscoveryRequest: a subscription, an acknowledgement, a refusal, or several of these in one."""
        kind = request.type_url.removeprefix(envoy_messages.TYPE_PREFIX)
        if kind not in KINDS:
            return
        nonce = request.response_nonce
        if nonce:
            self._answered(kind, nonce, request.error_detail.message)
        else:
            self._sent[kind].update(dict.fromkeys(request.initial_resource_versions))
        if kind in _BY_NAME:
            self._subscriptions(kind, request.resource_names_subscribe, request.resource_names_unsubscribe)
        elif not nonce:
            self._asked.add(kind)
            self._send_difference(kind, {*self._ads.wanted[kind], *self._sent[kind]}, always=True)
        self._progress.set()

    def _answered(self, kind: Kind, nonce: str, error: str) -> None:
        sent = self._unacknowledged.pop(nonce, {})
        if error and len(sent) > 1:
            # What has gone or been replaced meanwhile must not come back.
            names = [name for name, resource in sent.items() if self._sent[kind].get(name) is resource]
            for half in (names[: len(names) // 2], names[len(names) // 2 :]):
                self._send(kind, {name: sent[name] for name in half})
            return
        for name in sent:
            if error:
                self._refused(kind, name, error)
            else:
                self._ads.refused.pop((kind, name), None)

    def _subscriptions(self, kind: Kind, subscribe: Sequence[str], unsubscribe: Sequence[str]) -> None:
        self._subscribed[kind].difference_update(unsubscribe)
        self._forget(kind, unsubscribe)
        self._subscribed[kind].update(subscribe)
        wanted = self._ads.wanted[kind]
        present = {name: wanted[name] for name in subscribe if name in wanted}
        absent = [name for name in subscribe if name not in wanted]
        if present or absent:
            self._send(kind, present, absent)

    async def update(self, changes: Changes) -> None:
        for kind, changed in changes.items():
            self._due[kind].update(dict.fromkeys(changed))
        due, wanted, turns = {kind: list(names) for kind, names in self._due.items()}, self._ads.wanted, Turns()
        if any(due.values()):
            for _ in envoy_messages.prepare():
                await turns.give()
        await self._wait(lambda: {CLUSTERS, LISTENERS} <= self._asked, "ask for clusters and listeners")
        clusters = self._changed(CLUSTERS, due[CLUSTERS])
        by_endpoints = {cluster for cluster, resource in clusters.items() if "eds_cluster_config" in resource}
        await self._write(CLUSTERS, clusters, turns)
        known = by_endpoints & self._subscribed[ENDPOINTS]
        self._send(CLUSTERS, clusters)
        # A changed cluster waits for its endpoints anew before it replaces the old one, even if they are the same,
        # and Envoy acknowledges clusters only when none waits any more.
        endpoints = self._changed(ENDPOINTS, due[ENDPOINTS])
        endpoints.update({name: wanted[ENDPOINTS][name] for name in known if name in wanted[ENDPOINTS]})
        self._send(ENDPOINTS, await self._subscribed_of(ENDPOINTS, endpoints, turns))
        await self._settled()
        # Nobody will ask for the endpoints of a cluster that is refused.
        by_endpoints = {cluster for cluster in by_endpoints if (CLUSTERS, cluster) not in self._ads.refused}
        await self._wait(lambda: by_endpoints <= self._subscribed[ENDPOINTS], "ask for new clusters' endpoints")
        await self._settled()
        for piece in _pieces(self._changed(ROUTES, due[ROUTES])):
            self._send(ROUTES, await self._subscribed_of(ROUTES, piece, turns))
        await self._write(LISTENERS, self._changed(LISTENERS, due[LISTENERS]), turns)
        self._send_difference(LISTENERS, due[LISTENERS])
        await self._settled()
        self._send_difference(CLUSTERS, due[CLUSTERS])
        await self._settled()
        self._written.clear()
        for kind, names in due.items():
            for name in names:
                del self._due[kind][name]

    async def _write(self, kind: Kind, resources: Mapping[str, Resource], turns: Turns) -> None:
        """Write them down for the message that will be sent next, which finds out what cannot be written."""
        for resource in resources.values():
            written: list[bytes] = []
            with contextlib.suppress(ParseError):
                for piece in envoy_messages.pieces(kind, resource):
                    written.append(piece)
                    await turns.give()
                self._written[id(resource)] = (resource, b"".join(written))

    async def _subscribed_of(
        self, kind: Kind, resources: Mapping[str, Resource], turns: Turns
    ) -> dict[str, Resource]:
        """Those that Envoy asks for, written down."""
        found = {n: r for n, r in resources.items() if n in self._subscribed[kind]}
        await self._write(kind, found, turns)
        return {n: r for n, r in found.items() if n in self._subscribed[kind]}

    def _changed(self, kind: Kind, names: Iterable[str]) -> dict[str, Resource]:
        """What of these is wanted and is not what was sent last."""
        sent, wanted = self._sent[kind], self._ads.wanted[kind]
        return {
            name: resource
            for name in names
            if (resource := wanted.get(name)) is not None
            and (before := sent.get(name)) is not resource
            and before != resource
        }

    def _send_difference(self, kind: Kind, names: Iterable[str], *, always: bool = False) -> None:
        """Of `names` also what is wanted no more."""
        names = list(names)
        gone = [name for name in names if name in self._sent[kind] and name not in self._ads.wanted[kind]]
        self._send(kind, self._changed(kind, names), gone, always=always)

    def _send(
        self, kind: Kind, resources: Mapping[str, Resource], gone: Iterable[str] = (), *, always: bool = False
    ) -> None:
        gone = list(gone)
        if not (resources or gone or always):
            return
        nonce = str(next(self._nonces))
        self._sent[kind].update(resources)
        self._forget(kind, gone)
        try:
            message = self._response(kind, nonce, resources, gone)
        except ParseError:
            resources = self._encodable(kind, resources)
            message = self._response(kind, nonce, resources, gone)
        self._unacknowledged[nonce] = resources
        self._call.send(message)

    def _response(self, kind: Kind, nonce: str, resources: Mapping[str, Resource], gone: Iterable[str]) -> Message:
        """Raises ParseError."""
        url = envoy_messages.TYPE_PREFIX + kind
        response: Any = envoy_messages.message_class(RESPONSE)()
        response.type_url, response.nonce = url, nonce
        response.removed_resources.extend(gone)
        for name, resource in resources.items():
            added = response.resources.add()
            added.name, added.version = name, nonce
            _, written = self._written.get(id(resource)) or (resource, envoy_messages.serialize(kind, resource))
            added.resource.type_url, added.resource.value = url, written
        made: Message = response
        return made

    def _encodable(self, kind: Kind, resources: Mapping[str, Resource]) -> Mapping[str, Resource]:
        """Those that there is a message for. The others count as refused: Envoy cannot even be asked."""
        found = {}
        for name, resource in resources.items():
            try:
                self._response(kind, "", {name: resource}, ())
                found[name] = resource
            except ParseError as error:
                self._refused(kind, name, str(error))
        return found

    def _refused(self, kind: Kind, name: str, why: str) -> None:
        log.warning("Envoy refused %s %s: %s", kind.rpartition(".")[2], name, why)
        self._ads.refused[kind, name] = why
        self._ads.on_refusal(kind, name, why)

    def _forget(self, kind: Kind, gone: Iterable[str]) -> None:
        for name in gone:
            self._sent[kind].pop(name, None)
            self._ads.refused.pop((kind, name), None)

    async def _settled(self) -> None:
        await self._wait(lambda: not self._unacknowledged, "acknowledge a change")

    async def _wait(self, done: Callable[[], bool], what: str) -> None:
        sent = sum(len(resources) for resources in self._unacknowledged.values())
        limit = _ACKNOWLEDGE_SECONDS + _SECONDS_EACH * sent
        try:
            async with asyncio.timeout(limit):
                while self._open and not done():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            log.error("Envoy did not %s within %.1f s", what, limit)
            self._unacknowledged.clear()


_PIECE = 100


def _pieces(tables: Mapping[str, Resource]) -> Iterator[dict[str, Resource]]:
    """Some at a time, by the number of their virtual hosts: Envoy takes hundredths of a millisecond for each, and
    those of the first piece are in effect before it looks at the second."""
    piece: dict[str, Resource] = {}
    size = 0
    for name, table in tables.items():
        piece[name] = table
        size += len(table.get("virtual_hosts", ()))
        if size >= _PIECE:
            yield piece
            piece, size = {}, 0
    if piece:
        yield piece
