"""Where the contexts of a kubeconfig lead."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import replace
from pathlib import Path

from workshop.kubernetes.kubeconfigs import content_of, contexts_in
from workshop.kubernetes.kubectl import Kubectl
from workshop.runbook.errors import UsageError


def server_of(kubeconfig: Path, context: str) -> str:
    """The URL of its API server. Raises OSError, or ValueError for a context that is not there or leads nowhere."""
    try:
        content = content_of(kubeconfig)
        (found,) = (item["context"] for item in content["contexts"] if item["name"] == context)
        (cluster,) = (item["cluster"] for item in content["clusters"] if item["name"] == found["cluster"])
        return str(cluster["server"])
    except (TypeError, KeyError) as error:
        raise ValueError(context) from error


def secondary(kubectl: Kubectl, context: str) -> Kubectl:
    """For the context of the same kubeconfig that the settings name as the secondary cluster. Raises UsageError
    when there is none of that name, or when it leads to the same cluster."""
    there, kubeconfig = contexts_in(kubectl.kubeconfig), kubectl.kubeconfig
    if context not in there:
        raise _unusable(
            kubeconfig,
            f"{kubeconfig} has no context {context}; it has {', '.join(there) or 'none'}",
            "cluster.secondary names one that is not there",
        )
    with contextlib.suppress(ValueError):
        server = server_of(kubeconfig, context)
        if server == server_of(kubeconfig, kubectl.context):
            raise _unusable(
                kubeconfig,
                f"the contexts {kubectl.context} and {context} both lead to {server}",
                "cluster.secondary is to be another cluster than cluster.context",
            )
    return replace(kubectl, context=context)


def _unusable(kubeconfig: Path, said: str, cause: str) -> UsageError:
    return UsageError(
        "find the secondary cluster",
        said,
        cause=cause,
        next_command=shlex.join(["kubectl", f"--kubeconfig={kubeconfig}", "config", "get-contexts"]),
    )
