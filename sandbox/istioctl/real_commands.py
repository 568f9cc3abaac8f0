"""What the real istioctl has besides: its commands, and the flags of those that are here. They are refused as not
supported; only what neither has is unknown."""

from __future__ import annotations

_ALL = "as as-group as-uid kubeclient-timeout vklog context kubeconfig help"
_XDS = "authority cert-dir insecure plaintext revision timeout xds-address xds-label xds-port"
_ADMIN = "file proxy-admin-port output"
_FLAGS = {
    "version": "output remote revision short r s o",
    "install": "dry-run filename force manifests readiness-timeout revision set skip-confirmation verify d r",
    "uninstall": "dry-run filename force manifests purge revision set skip-confirmation verbose d f r s v",
    "analyze": "all-namespaces analyzer color failure-threshold ignore-unknown list-analyzers meshConfigFile "
    "output output-threshold recursive remote-contexts revision suppress timeout use-kube verbose L R S r v",
    "x precheck": "from-version output output-threshold revision skip-controlplane f o r",
    "x describe pod": "ignoreUnmeshed proxy-admin-port",
    "x describe service": "ignoreUnmeshed proxy-admin-port",
    "proxy-status": f"{_XDS} {_ADMIN} o r",
    **dict.fromkeys((f"dashboard {name}" for name in ("grafana", "jaeger", "kiali", "prometheus")), "revision r"),
    "dashboard envoy": "selector l",
    "proxy-config clusters": f"{_ADMIN} f",
    "proxy-config listeners": f"{_ADMIN} f",
    "proxy-config routes": f"{_ADMIN} f",
    "proxy-config endpoints": f"{_ADMIN} f",
    "proxy-config secrets": f"{_ADMIN} f",
}
"""Of the real 1.31, by command: words are long names, letters short ones."""

_COMMANDS = {
    "": "admin authz bug-report completion create-remote-secret kube-inject manifest remote-clusters tag "
    "upgrade validate waypoint ztunnel-config",
    "dashboard": "controlz istiod-debug proxy skywalking zipkin",
    "proxy-config": "all bootstrap ecds log rootca-compare",
    "x": "authz config envoy-stats internal-debug metrics proxy-status version workload",
}
"""Those that are not here, by the word in front of them."""


def flags_of(command: tuple[str, ...]) -> frozenset[str]:
    return frozenset(f"{_ALL} {_FLAGS.get(' '.join(command), '')}".split())


def is_command(group: str, word: str) -> bool:
    return word in _COMMANDS.get(group, "").split()
