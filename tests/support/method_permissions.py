"""Which permissions Google documents for each API method that Bakehouse calls, with our bodies.

Sources, read in November 2026:
- the section "IAM Permissions" of each method in Google's REST reference of Compute Engine, such as
  https://cloud.google.com/compute/docs/reference/rest/v1/instances/insert, which
  https://github.com/iann0036/iam-dataset (gcp/map.json) holds as data, and which says "one or more"
  of a list: what our bodies do not ask for is left out (`compute.instances.pscInterfaceCreate`, and
  `compute.instances.update` of addresses.insert, for an address that a VM has already)
- "Permissions required for this task" of https://cloud.google.com/compute/docs/instances/create-start-instance:
  what the fields of an instance need besides
- https://cloud.google.com/compute/docs/access/iam, "The serviceAccountUser role": who attaches a
  disk to a machine that runs as a service account, or sets its metadata, may act as that account
- https://cloud.google.com/storage/docs/access-control/iam-json and
  https://cloud.google.com/kms/docs/reference/permissions-and-roles
"""

from __future__ import annotations

ACT_AS = "iam.serviceAccounts.actAs"
# a disk that is inserted, alone or with an instance: from an image, labelled, with policies
NEW_DISK = (
    "compute.disks.create",
    "compute.disks.setLabels",
    "compute.images.useReadOnly",
    "compute.resourcePolicies.use",
)
# the group's template is named, and instances are made from it
_CHANGE_OF_A_GROUP = (
    "compute.instanceGroupManagers.get",
    "compute.instanceGroupManagers.update",
    "compute.disks.create",
    "compute.images.useReadOnly",
    "compute.instanceTemplates.useReadOnly",
    "compute.instances.create",
    "compute.instances.setMetadata",
    "compute.subnetworks.use",
    ACT_AS,
)
# an address of ours is external or internal; an internal one is of a subnetwork
COMPUTE: dict[str, tuple[str, ...]] = {
    "addresses.delete": ("compute.addresses.delete", "compute.addresses.deleteInternal"),
    "addresses.get": ("compute.addresses.get",),
    "addresses.insert": (
        "compute.addresses.create",
        "compute.addresses.createInternal",
        "compute.addresses.setLabels",
        "compute.subnetworks.use",
    ),
    "addresses.list": ("compute.addresses.list",),
    "disks.aggregatedList": ("compute.disks.list",),
    "disks.delete": ("compute.disks.delete",),
    "disks.get": ("compute.disks.get",),
    "disks.insert": NEW_DISK,
    "disks.list": ("compute.disks.list",),
    "disks.setLabels": ("compute.disks.setLabels",),
    "globalOperations.get": ("compute.globalOperations.get",),
    "globalOperations.list": ("compute.globalOperations.list",),
    "images.delete": ("compute.images.delete",),
    "images.deprecate": ("compute.images.deprecate",),
    "images.get": ("compute.images.get",),
    "images.getFromFamily": ("compute.images.getFromFamily",),
    "images.insert": (
        "compute.images.create",
        "compute.images.setLabels",
        "compute.disks.useReadOnly",
    ),
    "images.list": ("compute.images.list",),
    "images.patch": ("compute.images.get", "compute.images.update"),
    "images.setLabels": ("compute.images.setLabels",),
    "images.testIamPermissions": ("compute.images.list",),
    "instanceGroupManagers.aggregatedList": ("compute.instanceGroupManagers.list",),
    "instanceGroupManagers.get": ("compute.instanceGroupManagers.get",),
    "instanceGroupManagers.listManagedInstances": ("compute.instanceGroupManagers.get",),
    "instanceGroupManagers.listPerInstanceConfigs": ("compute.instanceGroupManagers.get",),
    "instanceGroupManagers.patch": _CHANGE_OF_A_GROUP,
    "instanceGroupManagers.recreateInstances": ("compute.instanceGroupManagers.update",),
    "instanceTemplates.aggregatedList": ("compute.instanceTemplates.list",),
    "instanceTemplates.delete": ("compute.instanceTemplates.delete",),
    "instanceTemplates.get": ("compute.instanceTemplates.get",),
    "instanceTemplates.insert": ("compute.instanceTemplates.create", ACT_AS),
    "instances.aggregatedList": ("compute.instances.list",),
    "instances.attachDisk": ("compute.instances.attachDisk", "compute.disks.use", ACT_AS),
    "instances.delete": ("compute.instances.delete",),
    "instances.detachDisk": ("compute.instances.detachDisk",),
    "instances.get": ("compute.instances.get",),
    "instances.getGuestAttributes": ("compute.instances.getGuestAttributes",),
    "instances.getSerialPortOutput": ("compute.instances.getSerialPortOutput",),
    "instances.insert": (
        "compute.instances.create",
        *NEW_DISK,
        "compute.disks.use",  # the boot disk and data disks of a member, made before it
        "compute.subnetworks.use",
        "compute.subnetworks.useExternalIp",
        "compute.addresses.use",
        "compute.addresses.useInternal",
        "compute.instances.setLabels",
        "compute.instances.setMetadata",
        "compute.instances.setServiceAccount",
        "compute.instances.setTags",
        ACT_AS,
        "compute.machineImages.useReadOnly",  # these two for sourceMachineImage
        "compute.networks.use",
    ),
    "instances.list": ("compute.instances.list",),
    "instances.setDiskAutoDelete": (
        "compute.instances.setDiskAutoDelete",
        "compute.disks.update",
    ),
    "instances.setLabels": ("compute.instances.setLabels",),
    "instances.setMetadata": ("compute.instances.setMetadata", ACT_AS),
    "instances.setScheduling": ("compute.instances.setScheduling",),
    "instances.start": ("compute.instances.start",),
    "instances.stop": ("compute.instances.stop",),
    "machineImages.delete": ("compute.machineImages.delete",),
    "machineImages.get": ("compute.machineImages.get",),
    "machineImages.insert": (
        "compute.machineImages.create",
        "compute.machineImages.setLabels",
        "compute.disks.createSnapshot",
        "compute.instances.useReadOnly",
    ),
    "machineImages.list": ("compute.machineImages.list",),
    "machineImages.setLabels": ("compute.machineImages.setLabels",),
    "machineTypes.get": ("compute.machineTypes.get",),
    "projects.get": ("compute.projects.get",),
    "regionInstanceGroupManagers.get": ("compute.instanceGroupManagers.get",),
    "regionInstanceGroupManagers.listManagedInstances": ("compute.instanceGroupManagers.get",),
    "regionInstanceGroupManagers.listPerInstanceConfigs": ("compute.instanceGroupManagers.get",),
    "regionInstanceGroupManagers.patch": _CHANGE_OF_A_GROUP,
    "regionInstanceGroupManagers.recreateInstances": ("compute.instanceGroupManagers.update",),
    "regionInstanceTemplates.get": ("compute.instanceTemplates.get",),
    "regionOperations.get": ("compute.regionOperations.get",),
    "regions.get": ("compute.regions.get",),
    "routers.list": ("compute.routers.list",),
    "subnetworks.list": ("compute.subnetworks.list",),
    "zoneOperations.get": ("compute.zoneOperations.get",),
    "zoneOperations.list": ("compute.zoneOperations.list",),
}
KMS: dict[str, tuple[str, ...]] = {
    "cryptoKeyVersions.asymmetricSign": ("cloudkms.cryptoKeyVersions.useToSign",),
    "cryptoKeyVersions.getPublicKey": ("cloudkms.cryptoKeyVersions.viewPublicKey",),
}
# of iam-json, above; whoever inserts an object over another needs storage.objects.delete too
STORAGE: dict[str, tuple[str, ...]] = {
    "buckets.get": ("storage.buckets.get",),
    "buckets.insert": ("storage.buckets.create",),
    "objects.delete": ("storage.objects.delete",),
    "objects.get": ("storage.objects.get",),
    "objects.insert": ("storage.objects.create",),
    "objects.list": ("storage.objects.list",),
    "objects.patch": ("storage.objects.get", "storage.objects.update"),
    "objects.rewrite": ("storage.objects.get", "storage.objects.create"),
}
# https://cloud.google.com/secret-manager/docs/access-control
SECRET_MANAGER: dict[str, tuple[str, ...]] = {
    "versions.access": ("secretmanager.versions.access",),
}
# the check of the set-up asks what it may do, and for one policy, which it does without if refused
RESOURCE_MANAGER: dict[str, tuple[str, ...]] = {
    "projects.getEffectiveOrgPolicy": (),
    "projects.testIamPermissions": (),
}
IAM: dict[str, tuple[str, ...]] = {"serviceAccounts.testIamPermissions": ()}
