"""Annotations that Istio may stop to know (IST0135)."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.istioctl.analyzers.messages import Level, Message
from sandbox.istioctl.resources import Resources, labels_of
from sandbox.mesh.injection import POD_LABEL

_KINDS = ("Namespace", "Service", "Pod", "Deployment")

_DEPRECATED = frozenset(
    (
        *("alpha.istio.io/canonical-serviceaccounts", "alpha.istio.io/kubernetes-serviceaccounts"),
        *("sidecar.istio.io/discoveryAddress", "sidecar.istio.io/extraStatTags", POD_LABEL),
        *("sidecar.istio.io/statsCompression", "sidecar.istio.io/statsInclusionPrefixes"),
        *("sidecar.istio.io/statsInclusionRegexps", "sidecar.istio.io/statsInclusionSuffixes"),
        "traffic.sidecar.istio.io/kubevirtInterfaces",
    )
)
"""Those marked so in Istio's API (annotation/annotations.yaml)."""


def deprecated(resources: Resources) -> Iterator[Message]:
    """Whoever has the label beside the annotation knows, and is left alone."""
    for kind in _KINDS:
        for obj in resources.of(kind):
            for name in sorted(_DEPRECATED & (obj["metadata"].get("annotations") or {}).keys()):
                if name == POD_LABEL and name in labels_of(obj):
                    continue
                instead = f' in favor of the "{POD_LABEL}" label' if name == POD_LABEL else ""
                said = (
                    f'Annotation "{name}" has been deprecated{instead} and may not work in future Istio versions.'
                )
                yield Message("IST0135", Level.Info, obj, said)
