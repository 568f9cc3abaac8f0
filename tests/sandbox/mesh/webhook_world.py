"""A cluster with Istio's webhooks, asked as in a sandbox, and with an istiod that is said to be there to answer."""

from __future__ import annotations

from sandbox.api import webhooks
from sandbox.api.local import LocalCluster
from sandbox.core.cluster import Object
from sandbox.istioctl.install_options import Options
from sandbox.istioctl.manifests import components, crds
from sandbox.mesh import injection, validation
from sandbox.mesh.istio import ISTIO_NAMESPACE, ISTIOD

from .world import CRDS, SLICES


class WebhookCluster(LocalCluster):
    def __init__(self) -> None:
        super().__init__()
        injecting = {(*ISTIOD, "/inject"): injection.service(self)}
        validating = {(*ISTIOD, "/validate"): validation.validate}
        self.admission.append(webhooks.hook(self, "mutating", injecting))
        self.validation += [webhooks.hook(self, "validating", validating), validation.require_support]
        for crd in crds():
            self.create(CRDS, crd, manager="test")
        self.create("namespaces", {"metadata": {"name": ISTIO_NAMESPACE}}, manager="test")

    def configured(self) -> None:
        """The webhooks of an installation."""
        installed = (obj for _, objects in components(Options()) for obj in objects)
        for configuration in (obj for obj in installed if obj["kind"].endswith("WebhookConfiguration")):
            self.create(configurations(configuration), configuration, manager="test")

    def istiod_answers(self, *, ready: bool = True) -> None:
        """Its Service, and an endpoint behind it."""
        namespace, name = ISTIOD
        metadata = {"name": name, "namespace": namespace}
        ports = [{"name": "https-webhook", "port": 443, "targetPort": 15017}]
        self.create("services", {"metadata": metadata, "spec": {"ports": ports}}, manager="test")
        piece = {
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "https-webhook", "port": 15017}],
            "endpoints": [{"addresses": ["127.0.0.2"], "conditions": {"ready": ready}}],
        }
        self.create(SLICES, piece, manager="test")


def configurations(obj: Object) -> str:
    return f"{obj['kind'].lower()}s.admissionregistration.k8s.io"
