"""Instance templates: kept; `instances.insert?sourceInstanceTemplate=` makes instances of them."""

from __future__ import annotations

from localgce import errors, limits
from localgce.api import kept
from localgce.call import Call
from localgce.errors import Json
from localgce.listing import aggregated


def insert(call: Call) -> Json:
    """A template; of its properties only what can be judged without a zone is judged."""
    properties = call.body.get("properties")
    if properties is None:
        raise errors.required("resource.properties")
    limits.check_labels(properties.get("labels", {}), "resource.properties.labels")
    where = "resource.properties.metadata"
    limits.check_metadata(properties.get("metadata", {}).get("items", []), where)
    return kept.begin_insert(call, kept.new(call, "instanceTemplate"))


def get(call: Call) -> Json:
    """One template."""
    return call.record().body


def list_(call: Call) -> Json:
    """All of the project."""
    return kept.page(call, "instanceTemplate")


def aggregated_list(call: Call) -> Json:
    """All of the project, by scope: they are all global here."""
    found = call.service.store.all("instanceTemplates", call.project)
    return aggregated(call, "instanceTemplate", [r.body for r in found], ["global"])


def delete(call: Call) -> Json:
    """Forget it, unless a group makes instances of it; those that it made stay."""
    template = call.record()
    for group in call.service.store.all("instanceGroupManagers", call.project):
        if any(v["instanceTemplate"] == template.link for v in group.body["versions"]):
            raise errors.in_use(template.path, group.path)
    return kept.begin_delete(call, template)
