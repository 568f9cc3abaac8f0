"""Bodies as kubectl's typed clients encode them; that kubectl itself is understood is in test_kubectl.py."""

from __future__ import annotations

import pytest

from sandbox.api import kubernetes_protobuf as protobuf
from sandbox.core.cluster import ApiError

# `kubectl create namespace n1`: empty strings and messages for all that Go has no pointer for.
NAMESPACE = bytes.fromhex(
    "6b38730 00a0f0a02763112094e616d6573706163 65121a0a120a026e311200 1a0022002a0032003800420012001a020a00"
    "1a002200".replace(" ", "")
)


def field(number: int, value: bytes | int) -> bytes:
    """A field of less than 128 bytes, or a varint of less than 128."""
    tag = number << 3 | (0 if isinstance(value, int) else 2)
    encoded = bytes([tag]) if tag < 0x80 else bytes([tag & 0x7F | 0x80, tag >> 7])
    return encoded + (bytes([value]) if isinstance(value, int) else bytes([len(value)]) + value)


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version.encode()) + field(2, kind.encode())) + field(2, raw)


def test_what_is_empty_is_left_out() -> None:
    assert protobuf.decode(NAMESPACE) == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n1"}}


def test_a_pointer_to_nothing_much_is_kept() -> None:
    deployment = body("apps/v1", "Deployment", field(2, field(1, 0) + field(5, 0)))
    assert protobuf.decode(deployment)["spec"] == {"replicas": 0}


def test_forms_of_values() -> None:
    port = field(1, b"http") + field(3, 80) + field(4, field(1, 1) + field(3, b"web"))
    service = body(
        "v1",
        "Service",
        field(1, field(11, field(1, b"a") + field(2, b"b")) + field(8, field(1, 100)))
        + field(2, field(1, port) + field(2, field(1, b"app") + field(2, b"web"))),
    )
    assert protobuf.decode(service) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"labels": {"a": "b"}, "creationTimestamp": "1970-01-01T00:01:40Z"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}], "selector": {"app": "web"}},
    }


def test_structs_that_are_inline_in_json() -> None:
    config = field(1, field(1, b"settings"))
    volume = field(1, b"data") + field(2, field(19, config))
    pod = body("v1", "Pod", field(2, field(1, volume)))
    assert protobuf.decode(pod)["spec"]["volumes"] == [{"name": "data", "configMap": {"name": "settings"}}]


def test_negative_numbers_and_bytes() -> None:
    minus_one = b"\xff" * 9 + b"\x01"
    options = protobuf.decode(body("policy/v1", "DeleteOptions", b"\x08" + minus_one))
    assert options["gracePeriodSeconds"] == -1
    secret = protobuf.decode(body("v1", "Secret", field(2, field(1, b"key") + field(2, b"\x00\x01"))))
    assert secret["data"] == {"key": "AAE="}


@pytest.mark.parametrize(
    "broken",
    [b"{}", NAMESPACE[:-3], body("v1", "Nothing", b""), body("v1", "Namespace", field(9, b"x"))],
    ids=["no prefix", "cut off", "no such kind", "no such field"],
)
def test_what_cannot_be_read_is_refused(broken: bytes) -> None:
    with pytest.raises(ApiError, match="unrecognized") as refusal:
        protobuf.decode(broken)
    assert refusal.value.code == 400
