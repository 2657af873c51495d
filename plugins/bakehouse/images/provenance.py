"""Which run of which recipe made a resource: how it is written into the resource, how it is read.

The label `bakehouse-run` is a hash of the run, short enough for a label; the description names the
run itself, for people and for the sweep. Pure.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bakehouse.core.models import Frozen
from bakehouse.images import labels
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.names import run_label

if TYPE_CHECKING:
    from datetime import datetime

_MADE_BY = re.compile(r"made by (\S+) (.+)$", re.DOTALL)


class MakingRun(Frozen):
    """A DAG run that makes resources, by Airflow's names for it."""

    dag_id: str
    run_id: str


class Provenance(Frozen):
    """Where everything that one run makes comes from."""

    recipe: str
    dag_id: str
    run_id: str
    run: str
    """The value of the label `bakehouse-run`: `names.run_label(dag_id, run_id)`."""
    git_sha: str
    """40 hex characters."""
    git_ref: str
    content_key: str
    base_image_id: str
    work_tree: bool = False
    """Of a local build."""
    dirty: bool = False

    @property
    def made_by(self) -> str:
        """The description of what the run makes; `run_that_made` reads it."""
        return f"{self.recipe} at {self.git_sha}, made by {self.dag_id} {self.run_id}"

    def nonce(self, machine: str) -> str:
        """32 hex characters that only this machine of this run is told; the same in every try."""
        url = f"bakehouse:{self.dag_id}/{self.run_id}/{machine}"
        return uuid.uuid5(uuid.NAMESPACE_URL, url).hex

    def labels(self, role: str, state: str, expires: datetime) -> dict[str, str]:
        """All labels of a machine, disk or image that the run makes.

        Args:
            role: `labels.BUILDER`, `SMOKE` or `IMAGE`.
            state: a value of `labels.STATE`.
            expires: when the sweep may take it, whatever Airflow says of the run.
        """
        told = {
            labels.RECIPE: self.recipe,
            labels.RUN: self.run,
            labels.STATE: state,
            labels.ROLE: role,
            labels.GIT_SHA: self.git_sha,
            labels.GIT_REF: labels.label_value(self.git_ref),
            labels.CONTENT_KEY: self.content_key,
            labels.BASE_IMAGE_ID: self.base_image_id,
            labels.EXPIRES: labels.expiry(expires),
        }
        if self.work_tree:
            told[labels.LOCAL] = labels.WORK_TREE
        if self.dirty:
            told[labels.DIRTY] = "true"
        return told


def run_that_made(resource: Resource) -> MakingRun | None:
    """The run that a resource's description names, the reverse of `Provenance.made_by`.

    None when the description names none, or one that is not the run of its label `bakehouse-run`:
    a copy keeps the description, and anybody can write one.
    """
    told = _MADE_BY.search(str(resource.get("description", "")))
    if told is None:
        return None
    try:
        run = MakingRun(dag_id=told[1], run_id=told[2])
        label = run_label(run.dag_id, run.run_id)
    except (ValidationError, UnicodeEncodeError):
        return None
    return run if label == labels_of(resource).get(labels.RUN) else None
