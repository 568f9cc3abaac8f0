"""What a lab's file imports: declarations, in the order in which docs/authoring.md comes to them.

    from workshop.authoring import Lab, apply

These names stay; the modules that they come from may be put in another order.
"""

from workshop.kubernetes.exercises import exercise
from workshop.kubernetes.generated_secrets import login
from workshop.kubernetes.helm_releases import ReleaseStages, helm_release, revision
from workshop.kubernetes.ingress import through_ingress
from workshop.kubernetes.object_steps import apply, choice, label_namespaces, restart
from workshop.kubernetes.other_clusters import on_cluster
from workshop.kubernetes.proofs import exec_check, proofs_at, shows
from workshop.kubernetes.stages import Stage, Stages, stage
from workshop.mesh.analysis import analysis, puts_right
from workshop.mesh.weighted_route import Route, WeightedRoute, split
from workshop.runbook.model import Lab, Together
from workshop.runbook.options import Duration, Number, Option, Word
from workshop.traffic.probe import Category, Probe
from workshop.traffic.side_requests import Control

__all__ = [
    "Category",
    "Control",
    "Duration",
    "Lab",
    "Number",
    "Option",
    "Probe",
    "ReleaseStages",
    "Route",
    "Stage",
    "Stages",
    "Together",
    "WeightedRoute",
    "Word",
    "analysis",
    "apply",
    "choice",
    "exec_check",
    "exercise",
    "helm_release",
    "label_namespaces",
    "login",
    "on_cluster",
    "proofs_at",
    "puts_right",
    "restart",
    "revision",
    "shows",
    "split",
    "stage",
    "through_ingress",
]
