"""The instance templates that a rollout of a managed group makes. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.images.links import Resource
    from bakehouse.rollout.mig_plan import (
        NewTemplate,
    )

KEY = "bakehouse"
"""The key of a template's description below which its labels stand."""
GUEST_ATTRIBUTES = "enable-guest-attributes"


def copied(base: Resource, new: NewTemplate) -> dict[str, Any]:
    """Return the body of instanceTemplates.insert: `base` with another image."""
    properties = json.loads(json.dumps(dict(base["properties"])))
    boot = boot_of(properties)
    assert boot is not None  # the plan has refused a template without one
    params = {
        key: value
        for key, value in (boot.get("initializeParams") or {}).items()
        if not key.startswith("source")
    }
    size = int(params.get("diskSizeGb") or boot.get("diskSizeGb") or 0)
    if size:
        params["diskSizeGb"] = str(max(size, new.disk_gb))
        boot.pop("diskSizeGb", None)
    boot["initializeParams"] = {**params, "sourceImage": new.image}
    return {"name": new.name, "description": new.description, "properties": properties}


def boot_of(properties: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the boot disk of a template's properties."""
    return next((disk for disk in properties.get("disks") or [] if disk.get("boot")), None)


def describe(told: Mapping[str, Any]) -> str:
    """Return the description of a template: the labels that it cannot have, as JSON."""
    return json.dumps({KEY: dict(told)}, separators=(",", ":"))


def described(template: Resource) -> dict[str, Any]:
    """Return what the description of one of our templates says; empty for one of others."""
    try:
        found = json.loads(str(template.get("description", "")))[KEY]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def is_of_run(template: Resource, run: str) -> bool:
    """Whether this run has made the template."""
    return described(template).get("run") == run
