"""What the workshop knows of a sandbox that is no object in it, kept beside a saved state and brought back with it.

What was applied and not proved (runbook/journal.py): a cluster that was loaded is, by its uid, the one that was
saved. What this journal has heard of it since is about a state that is gone; so it says again of these clusters
what was so when they were saved. Elsewhere the journal has never heard of them, and all is proved but for that.

Which labs have been applied, and whether their last run left them converged: the load stands in the journal as a
run that took part in them, so that `status` tells what a run applied from what somebody typed by hand.

The way into clusters that the azure labs made: their contexts in the workshop's kubeconfig are written anew, as
a loaded sandbox has other addresses, certificates and tokens.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.server.saved_state import SUFFIX, Head
from workshop.azure import own_kubeconfig
from workshop.runbook import events
from workshop.runbook.journal import AppliedPart, Journal
from workshop.runbook.results import Outcome
from workshop.settings import Settings
from workshop.target import Target

_CLUSTERS = "providers/Microsoft.ContainerService/managedClusters"
_VERSION = "api-version=2025-10-01"
_SECONDS = 30.0
_ACCOUNT = "sandbox/"
"""What the place of a record about the account begins with, on this target."""


def take(settings: Settings, target: Target) -> dict[str, Any]:
    """To be written into the file's head: nothing secret."""
    journal = target.journal
    titles = dict(journal.read("select name, max(title) from labs group by name", (), since=4))
    labs = [
        {"name": name, "title": titles.get(name, ""), "applied": last.applied, "converged": last.converged}
        for name, last in journal.last_runs(target.name).items()
    ]
    content = own_kubeconfig.read(settings.kubeconfig) or {}
    contexts = {
        item["name"]: origin
        for item in content.get("contexts", ())
        if (origin := own_kubeconfig.origin_in(content, item["name"]))
    }
    return {"labs": labs, "unproved": sorted(journal.unproved()), "contexts": contexts}


def put_back(settings: Settings, target: Target, file: Path, head: Head, seconds: float) -> None:
    """For the sandbox that has just been loaded with this file, which took so long. What is not the workshop's in
    its kubeconfig stays."""
    journal = target.journal

    def is_of_it(place: str) -> bool:
        return place in head.identities or place.startswith(_ACCOUNT)

    parts = [AppliedPart(*part) for part in head.notes.get("unproved", ())]
    journal.put_unproved([part for part in parts if is_of_it(part.place)], at=is_of_it)
    if labs := head.notes.get("labs"):
        _note_run(journal, target.name, labs, f"Load {file.name.removesuffix(SUFFIX)}", seconds)
    if contexts := head.notes.get("contexts"):
        _write_contexts(settings, contexts)


def _note_run(journal: Journal, target: str, labs: Sequence[Mapping[str, Any]], title: str, seconds: float) -> None:
    names = tuple(lab["name"] for lab in labs)
    journal.listen(events.RunStarted("", names, target, len(names), asked=names))
    for lab in labs:
        name = lab["name"]
        journal.listen(events.LabStarted(name, lab["title"], 1))
        outcome: Outcome = "changed" if lab["applied"] else "unchanged"
        journal.listen(events.StepFinished(name, 1, title, outcome, 0.0))
        if not lab["converged"]:
            journal.listen(
                events.StepFinished(name, 2, "Converge, as it had not when it was saved", "skipped", 0.0)
            )
        journal.listen(events.LabFinished(name, 0.0, lab["converged"]))
    journal.listen(events.RunFinished("", 0, seconds, {}))


def _write_contexts(settings: Settings, contexts: Mapping[str, str]) -> None:
    """Of those clusters that are in the state; others were on Azure, or of a sandbox before."""
    azure = json.loads((settings.sandbox_folder / "azure.json").read_text(encoding="utf-8"))
    at = f"/subscriptions/{azure['subscription']}/{_CLUSTERS}"
    clusters = {own_kubeconfig.origin_of(each): each["id"] for each in _ask(azure, "GET", at)["value"]}
    content = own_kubeconfig.read(settings.kubeconfig) or {}
    current = content.get("current-context")
    for context, origin in contexts.items():
        if origin in clusters:
            sent = _ask(azure, "POST", clusters[origin] + "/listClusterUserCredential")
            kubeconfig = base64.b64decode(sent["kubeconfigs"][0]["value"])
            content = own_kubeconfig.put(content, context, own_kubeconfig.entry(context, kubeconfig, origin))
    if clusters:
        own_kubeconfig.write(settings.kubeconfig, {**content, "current-context": current or next(iter(contexts))})


def _ask(azure: Mapping[str, str], method: str, path: str) -> Any:
    """Of the sandbox's Azure. Raises OSError."""
    place, trusted = urlsplit(azure["url"]), ssl.create_default_context(cafile=azure["ca"])
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, context=trusted, timeout=_SECONDS)
    try:
        connection.request(method, f"{path}?{_VERSION}", headers={"Authorization": f"Bearer {azure['token']}"})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise OSError(f"{method} {path}: {answer.status} {content.decode(errors='replace')}")
    return json.loads(content)
