"""Meshes that somebody else runs in a cluster, and which labs they are in the way of.

They are known by what each cannot do without: its namespaces, its kinds, its webhooks. That a mesh is there harms
nobody by itself: most put proxies only into namespaces that ask for it. What does harm is said, with the labs:

- **A second Istio**, also AKS's add-on: both control planes read the same VirtualServices, for Istio's kinds are
  the whole cluster's, and both write the ConfigMap istio-ca-root-cert into every namespace, each with its own
  authority, so that proxies of either stop trusting each other. AKS says that its add-on does not work beside an
  Istio installed otherwise (learn.microsoft.com/azure/aks/istio-about, "Limitations").
- **Another mesh's proxies in a namespace of the labs**: two sidecars redirect the same traffic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from workshop.kubernetes.cluster_facts import Everywhere, look_at_installation
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import ISTIO_NAMESPACE, Object
from workshop.mesh.install import Install
from workshop.mesh.lab_steps import steps_on
from workshop.runbook.model import Lab
from workshop.runbook.results import Finding
from workshop.runbook.run import Run

_AKS_NAMESPACE, _REVISION = "aks-istio-system", "istio.io/rev"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@dataclass(frozen=True, slots=True)
class Mesh:
    """`kinds` are groups of its own kinds, `webhooks` what the names of its injectors have in them. A namespace
    asks for its proxies by a label or an annotation `asks`, unless that has one of these values: "no"."""

    name: str
    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()
    asks: str = ""


_NO = ("disabled", "false", "no", "off")

MESHES = (
    Mesh("Linkerd", ("linkerd",), ("linkerd.io",), ("linkerd-proxy-injector",), "linkerd.io/inject"),
    Mesh(
        "Open Service Mesh",
        ("osm-system", "arc-osm-system"),
        ("openservicemesh.io",),
        ("osm-webhook",),
        "openservicemesh.io/monitored-by",
    ),
    Mesh(
        "Consul",
        ("consul",),
        ("consul.hashicorp.com",),
        ("connect-injector",),
        "consul.hashicorp.com/connect-inject",
    ),
    Mesh(
        "Kuma", ("kuma-system", "kong-mesh-system"), ("kuma.io",), ("kuma-admission",), "kuma.io/sidecar-injection"
    ),
    Mesh(
        "AWS App Mesh",
        ("appmesh-system",),
        ("appmesh.k8s.aws",),
        ("appmesh",),
        "appmesh.k8s.aws/sidecarInjectorWebhook",
    ),
)
GATEWAYS = {
    "gateway.envoyproxy.io": "Envoy Gateway",
    "projectcontour.io": "Contour",
    "traefik.io": "Traefik",
    "configuration.konghq.com": "Kong",
    "getambassador.io": "Emissary",
    "gateway.nginx.org": "NGINX Gateway Fabric",
}
"""Of others, by groups of their kinds. They read other kinds than Istio's gateway does."""


@dataclass(frozen=True, slots=True)
class There:
    """What of a cluster tells: its namespaces, the names of its kinds and webhooks, and Istio's webhooks whole."""

    namespaces: Sequence[Object]
    kinds: Sequence[str]
    webhooks: Sequence[str]
    istio: Sequence[Object]

    def named(self, namespace: str) -> bool:
        return any(each["metadata"]["name"] == namespace for each in self.namespaces)


async def look(run: Run) -> There:
    """Raises KubectlError."""
    namespaces, kinds, webhooks, installation = await asyncio.gather(
        run.observe(Everywhere("Namespace", named_only=True)),
        run.observe(Everywhere("CustomResourceDefinition", named_only=True)),
        run.observe(Everywhere("MutatingWebhookConfiguration", named_only=True)),
        look_at_installation(run),
    )
    istio = [obj for kind in _WEBHOOKS for obj in installation.all(kind, "")]
    return There(namespaces, _names(kinds), _names(webhooks), istio)


def _names(objects: Iterable[Object]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


async def finding(row: str, labs: Sequence[Lab], run: Run, cluster: str = "") -> Finding:
    """Raises KubectlError."""
    there, kubectl = await look(run), Kubectl.of(run)
    homes = await _homes(labs, run, cluster)
    installing = [lab for lab, step in steps_on(labs, run, cluster) if isinstance(step, Install)]
    webhooks = kubectl.typed("kubectl get mutatingwebhookconfigurations --show-labels")
    failing = [said for said in _other_istios(there) if installing]
    if failing:
        which = ", ".join(dict.fromkeys(installing))
        what = (
            f"{'; '.join(failing)}: beside the Istio of {which}, both act on the same rules and give every "
            f"namespace another root certificate, so {which} and all that needs it would fail"
        )
        return Finding(row, "fail", what, webhooks)
    meshes = {mesh: _taken(mesh, there, homes) for mesh in MESHES if _is_there(mesh, there)}
    for mesh, taken in meshes.items():
        if taken:
            home, theirs = next(iter(taken.items()))
            what = (
                f"{mesh.name} puts its proxies into the namespace {home} ({mesh.asks}), where {theirs} puts Istio's"
            )
            return Finding(row, "fail", what, kubectl.typed(f"kubectl get namespace {home} -o yaml"))
    if meshes:
        names = ", ".join(mesh.name for mesh in meshes)
        asked = ", ".join(mesh.asks for mesh in meshes)
        what = (
            f"{names} is there too: as long as no namespace of these labs asks for its proxies ({asked}), no harm"
        )
        return Finding(row, "warn", what, webhooks)
    beside = sorted({name for group, name in GATEWAYS.items() if _has_kinds(there, group)})
    said = f"none but Istio's; {', '.join(beside)} beside it reads no rules of Istio's" if beside else "none"
    return Finding(row, "ok", said)


async def _homes(labs: Sequence[Lab], run: Run, cluster: str) -> Mapping[str, str]:
    """The namespaces that labs put something into, each with the first of them."""
    homes: dict[str, str] = {}
    for lab, step in steps_on(labs, run, cluster):
        for subject in await step.made(run.of_lab(lab)):
            if home := subject.partition(" ")[2].rpartition("/")[0]:
                homes.setdefault(home, lab)
    return homes


def _other_istios(there: There) -> Iterator[str]:
    """Each in words: those whose istiod is not where labs install it. AKS's own, and others by their webhooks."""
    if there.named(_AKS_NAMESPACE):
        revisions = ", ".join(sorted(_revisions(there, _AKS_NAMESPACE)))
        of = f", revision {revisions}" if revisions else ""
        yield f"AKS's Istio add-on is on (namespace {_AKS_NAMESPACE}{of})"
    homes = {home for each in there.istio for home in _services_of(each)} - {ISTIO_NAMESPACE, _AKS_NAMESPACE}
    for home in sorted(homes):
        yield f"another Istio is in the namespace {home} (revision {', '.join(sorted(_revisions(there, home)))})"


def _services_of(configuration: Object) -> Iterator[str]:
    """The namespaces of what its webhooks ask."""
    for webhook in configuration.get("webhooks") or ():
        if service := (webhook.get("clientConfig") or {}).get("service"):
            yield service["namespace"]


def _revisions(there: There, namespace: str) -> set[str]:
    asked = [each for each in there.istio if namespace in _services_of(each)]
    return {each["metadata"].get("labels", {}).get(_REVISION, "") for each in asked} - {""}


def _is_there(mesh: Mesh, there: There) -> bool:
    return (
        any(map(there.named, mesh.namespaces))
        or any(_has_kinds(there, group) for group in mesh.kinds)
        or any(part in name for part in mesh.webhooks for name in there.webhooks)
    )


def _has_kinds(there: There, group: str) -> bool:
    """Also of a group below it: servers.policy.linkerd.io."""
    return any(name.endswith(f".{group}") for name in there.kinds)


def _taken(mesh: Mesh, there: There, homes: Mapping[str, str]) -> dict[str, str]:
    """The namespaces of labs that ask for its proxies, each with the lab."""
    found = {}
    for namespace in there.namespaces:
        metadata = namespace["metadata"]
        said = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}.get(mesh.asks)
        if metadata["name"] in homes and said is not None and said not in _NO:
            found[metadata["name"]] = homes[metadata["name"]]
    return found
