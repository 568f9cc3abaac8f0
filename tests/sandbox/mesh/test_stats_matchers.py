"""What Envoy is told to keep against what a proxy shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.mesh.istio_annotations import StatsInclusion
from sandbox.mesh.registry import Proxy
from sandbox.mesh.stats_matchers import StatsMatchers

NAMES = (
    "cluster.ID/outbound|80||c.http.svc.cluster.local;.upstream_rq_200",
    "cluster.ID/inbound|80||;.upstream_cx_total",
    "http.ID/outbound_0.0.0.0_80;.rbac.allowed",
    "listener.ID/0.0.0.0_15001.http.ID/outbound;.downstream_rq_2xx",
    "ID/tcp.rbac.denied",
)
"""Envoy's. For the proxy they are without the id."""

PREFIXES = st.builds(
    lambda name, length: name[:length],
    st.sampled_from([name.replace("ID/", "") for name in NAMES]),
    st.integers(1, 60),
)


@given(st.lists(PREFIXES | st.sampled_from(["c", "http", "x"]), max_size=3))
def test_by_prefixes_envoy_keeps_just_what_the_proxy_shows(prefixes: list[str]) -> None:
    inclusion = StatsInclusion(tuple(prefixes))
    matchers = StatsMatchers(Proxy("sidecar", "a", "b", "", {}, inclusion=inclusion))
    for name in NAMES:
        made = (matchers.of_cluster if name.startswith("cluster.") else matchers.of_listener)({"name": "x"})
        patterns = made["stats_matcher"]["inclusion_list"]["patterns"] if "stats_matcher" in made else ()
        written = name.replace("ID", "a.b")
        matched = any(
            written.startswith(one["prefix"]) if "prefix" in one else written.endswith(one["suffix"])
            for one in patterns
        )
        assert matched == inclusion.includes(name.replace("ID/", ""))
