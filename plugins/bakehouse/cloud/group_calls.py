"""The calls on managed instance groups and instance templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.cloud.calls import Calls, Resource
from bakehouse.core.errors import AlreadyExists, OutcomeUnknown
from bakehouse.images.links import is_region, resource_name

if TYPE_CHECKING:
    from collections.abc import Callable


class GroupCalls(Calls):
    """What makes instances: templates, and the groups that use them."""

    def templates(self) -> list[Resource]:
        """All instance templates, global and regional, by one call."""
        return self._scopes(self._client.instanceTemplates(), "instanceTemplates")

    def groups(self) -> list[Resource]:
        """All managed instance groups, by one call."""
        return self._scopes(self._client.instanceGroupManagers(), "instanceGroupManagers")

    def project_metadata(self) -> Resource:
        """The metadata that all instances of the project have."""
        call = self._client.projects().get(
            project=self.project, fields="commonInstanceMetadata(items)"
        )
        found = self._read(call, f"get the project {self.project}")
        metadata: Resource = found.get("commonInstanceMetadata") or {}
        return metadata

    def template(self, link: str) -> Resource | None:
        """The template at a link, global or regional; None if it does not exist."""
        name, parts = resource_name(link), link.split("/")
        if "regions" in parts[:-1]:
            region = parts[parts.index("regions") + 1]
            call = self._client.regionInstanceTemplates().get(
                project=self.project, region=region, instanceTemplate=name
            )
        else:
            call = self._client.instanceTemplates().get(project=self.project, instanceTemplate=name)
        return self._find(call, f"get the template {name}")

    def insert_template(
        self, body: Resource, request_id: str, is_ours: Callable[[Resource], bool]
    ) -> Resource | None:
        """Create a global template; the operation, or None if this run has created it already.

        `is_ours` stands for the labels that a template has not.
        """
        name = body["name"]
        doing = f"create the template {name}"
        call = self._client.instanceTemplates().insert(
            project=self.project, body=body, requestId=request_id
        )
        try:
            return self._change(call, doing)
        except (AlreadyExists, OutcomeUnknown):
            found = self.template(name)
            if found is None:
                return self._settled(call, doing)
            if not is_ours(found):
                raise AlreadyExists(
                    f"{doing}: a template of this name exists that this run did not create"
                ) from None
            return None

    def delete_template(self, name: str, request_id: str) -> Resource | None:
        """Delete a global template; None if it does not exist any more."""
        call = self._client.instanceTemplates().delete(
            project=self.project, instanceTemplate=name, requestId=request_id
        )
        return self._remove(call, f"delete the template {name}")

    def group(self, place: str, name: str) -> Resource | None:
        """The managed instance group of a zone or a region, or None."""
        api, where = self._groups_of(place)
        call = api.get(project=self.project, instanceGroupManager=name, **where)
        return self._find(call, f"get the group {name}")

    def managed_instances(self, place: str, group: str) -> list[Resource]:
        """The instances of a group, also those that do not exist yet."""
        api, where = self._groups_of(place)
        return self._pages(
            api.listManagedInstances,
            api.listManagedInstances_next,
            f"list the instances of the group {group}",
            key="managedInstances",
            instanceGroupManager=group,
            **where,
        )

    def instance_configs(self, place: str, group: str) -> list[Resource]:
        """The per-instance configs of a group."""
        api, where = self._groups_of(place)
        return self._pages(
            api.listPerInstanceConfigs,
            api.listPerInstanceConfigs_next,
            f"list the per-instance configs of the group {group}",
            instanceGroupManager=group,
            **where,
        )

    def patch_group(self, place: str, name: str, body: Resource, request_id: str) -> Resource:
        """Change versions and update policy of a group; what the body leaves out stays."""
        api, where = self._groups_of(place)
        call = api.patch(
            project=self.project,
            instanceGroupManager=name,
            body=body,
            requestId=request_id,
            **where,
        )
        return self._repeat(call, f"change the group {name}")

    def recreate_managed(
        self, place: str, group: str, instances: list[str], request_id: str
    ) -> Resource:
        """Replace instances of a group by new ones of the same names; `instances` are links."""
        api, where = self._groups_of(place)
        call = api.recreateInstances(
            project=self.project,
            instanceGroupManager=group,
            body={"instances": instances},
            requestId=request_id,
            **where,
        )
        return self._change(call, f"recreate instances of the group {group}")

    def _groups_of(self, place: str) -> tuple[Any, dict[str, str]]:
        """Return the collection of the groups of a zone or a region, and the argument for it."""
        if is_region(place):
            return self._client.regionInstanceGroupManagers(), {"region": place}
        return self._client.instanceGroupManagers(), {"zone": place}
