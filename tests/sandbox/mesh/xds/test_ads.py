"""What is sent again when Envoy refuses several resources at once, without an Envoy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sandbox.mesh.xds import envoy_messages
from sandbox.mesh.xds.ads import ROUTES, Ads, _Stream


class Recorded:
    """A call that keeps what it is to send: names by nonce."""

    def __init__(self) -> None:
        self.sent: dict[str, list[str]] = {}

    def send(self, message: Any) -> None:
        self.sent[message.nonce] = [resource.name for resource in message.resources]


def request(nonce: str = "", error: str = "", subscribe: tuple[str, ...] = (), gone: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(
        type_url=envoy_messages.TYPE_PREFIX + ROUTES,
        response_nonce=nonce,
        error_detail=SimpleNamespace(message=error),
        resource_names_subscribe=subscribe,
        resource_names_unsubscribe=gone,
        initial_resource_versions={},
    )


def test_halves_until_it_is_alone_and_nothing_that_has_gone() -> None:
    told: list[tuple[str, str, str]] = []
    ads, call = Ads(lambda *refusal: told.append(refusal)), Recorded()
    ads.wanted[ROUTES] = {name: {"name": name} for name in "abcde"}
    stream = _Stream(call, ads)  # type: ignore[arg-type]
    stream.received(request(subscribe=tuple("abcde")))
    stream.received(request(gone=("b",)))
    stream.received(request("1", "no"))
    assert call.sent == {"1": list("abcde"), "2": ["a", "c"], "3": ["d", "e"]}
    stream.received(request("2", "no"))
    stream.received(request("3"))
    assert [call.sent[nonce] for nonce in ("4", "5")] == [["a"], ["c"]]
    stream.received(request("4"))
    stream.received(request("5", "no"))
    assert ads.refused == {(ROUTES, "c"): "no"}
    assert told == [(ROUTES, "c", "no")]
    stream.received(request(gone=("c",)))
    assert ads.refused == {}
