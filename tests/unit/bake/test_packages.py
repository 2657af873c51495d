from __future__ import annotations

from tests.support.manifests import encode

from bakehouse.bake.packages import kernel_of, manifest_of
from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.history.manifest import FileFacts, Manifest, Package

PACKAGES = (Package("bash", "5.2", "amd64"), Package("nginx", "1.22", "amd64"))
MANIFEST = Manifest(PACKAGES, sources=())


def test_the_serial_line_is_enough() -> None:
    assert (
        manifest_of(MachineObservation(name="b", said=({"manifest": encode(MANIFEST)},)))
        == MANIFEST
    )


def test_the_guest_attribute_is_enough_and_survives_a_torn_line() -> None:
    found = MachineObservation(
        name="b", said=({"manifest": "H4sI torn"},), attributes={"manifest": encode(MANIFEST)}
    )
    assert manifest_of(found) == MANIFEST


def test_no_manifest_is_not_an_empty_one() -> None:
    assert manifest_of(MachineObservation(name="b")) is None


def test_the_newest_kernel_counts_by_number() -> None:
    installed = tuple(
        Package(f"linux-image-{release}", "1", "amd64")
        for release in ("6.1.0-9-cloud-amd64", "6.1.0-41-cloud-amd64", "cloud-amd64")
    )
    assert kernel_of(Manifest(installed)) == "6.1.0-41-cloud-amd64"
    assert kernel_of(Manifest(())) is None


def test_the_kernel_that_the_builder_names_is_the_one_that_boots() -> None:
    own = FileFacts(kernel="6.18.0-own")
    installed = (Package("linux-image-6.1.0-9-cloud-amd64", "1", "amd64"),)
    assert kernel_of(Manifest(installed, files=own)) == "6.18.0-own"
