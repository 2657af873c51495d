"""Local SSDs (scratch disks): empty disks of 375 GB that belong to one instance alone.

They have no resource of their own. Their content ends when the instance is stopped or deleted, but
for a stop with `discardLocalSsd=false`; a reset, a suspension and a reboot keep it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import catalog, errors, limits, links
from localgce.core.errors import ApiError

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.machines.contract import Disks

SIZE_GB = 375
_MOST = 24
_KNOWN = {
    *("kind", "type", "mode", "deviceName", "boot", "autoDelete", "interface", "index"),
    *("initializeParams", "diskSizeGb"),
}
_PARAMS_KNOWN = {"diskType", "diskSizeGb"}


def is_local(entry: Json) -> bool:
    """Whether an entry of an instance's `disks` is a local SSD."""
    return bool(entry.get("type") == "SCRATCH")


def local_ssds(instance: Record) -> list[Json]:
    """Those of an instance."""
    return [entry for entry in instance.body.get("disks", []) if is_local(entry)]


def content_id(instance: Record, entry: Json) -> str:
    """The id of its content on the host."""
    return f"{instance.id}-{entry['deviceName']}"


def shown(context: Context, machine_type: str, given: Json, index: int, number: int) -> Json:
    """An AttachedDisk for the instance's local SSD of this number; raises 400."""
    where = f"resource.disks[{index}]"
    limits.refuse_others(given, _KNOWN, where)
    params = given.get("initializeParams", {})
    limits.refuse_others(params, _PARAMS_KNOWN, f"{where}.initializeParams")
    if given.get("boot"):
        raise errors.invalid(f"{where}.boot", "true", "A local SSD cannot be the boot disk.")
    kind = params.get("diskType")
    if kind is None:
        raise errors.required(f"{where}.initializeParams.diskType")
    link = context.link(kind, f"{where}.initializeParams.diskType")
    if (link.scope, link.name) != (context.scope, catalog.LOCAL_SSD):
        text = "A scratch disk is of the type local-ssd of the instance's zone."
        raise errors.invalid(f"{where}.initializeParams.diskType", kind, text)
    size = int(params.get("diskSizeGb") or given.get("diskSizeGb") or SIZE_GB)
    if size != SIZE_GB:
        text = f"A local SSD has {SIZE_GB} GB."
        raise errors.invalid(f"{where}.diskSizeGb", size, text)
    check_machine_type(machine_type, number + 1)
    return {
        "kind": "compute#attachedDisk",
        "type": "SCRATCH",
        "mode": "READ_WRITE",
        "deviceName": given.get("deviceName") or f"local-ssd-{number}",
        "index": index,
        "boot": False,
        "autoDelete": True,
        "interface": given.get("interface", "SCSI"),
        "diskSizeGb": str(SIZE_GB),
    }


def check_machine_type(machine_type: str, count: int) -> None:
    """Raise 400 for a machine type that cannot have so many local SSDs."""
    name = links.last(machine_type)
    if count and not catalog.has_local_ssds(name):
        text = f"{catalog.LOCAL_SSD} disk type cannot be used by {name} machine type."
        raise ApiError(400, "badRequest", text)
    if count > _MOST:
        raise errors.invalid("resource.disks", count, f"At most {_MOST} local SSDs.")


def check_discard(instance: Record, discard: bool | None) -> None:
    """Raise 400 for a stop that does not say what becomes of the local SSDs."""
    if discard is None and local_ssds(instance):
        text = (
            "VM has a Local SSD attached but an undefined value for `discard-local-ssd`. If using "
            "gcloud, please add `--discard-local-ssd=false` or `--discard-local-ssd=true` to your "
            "command."
        )
        raise ApiError(400, "badRequest", text)


async def prepare(disks: Disks, instance: Record) -> None:
    """Create the contents before a start: empty, unless the stop before has kept them."""
    if not instance.private.get("keep_local_ssds"):
        await discard(disks, instance)
    for entry in local_ssds(instance):
        await disks.create_blank(content_id(instance, entry), SIZE_GB)


async def discard(disks: Disks, instance: Record) -> None:
    """Delete the contents."""
    for entry in local_ssds(instance):
        await disks.delete_disk(content_id(instance, entry))
