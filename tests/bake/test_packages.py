from __future__ import annotations

from bakehouse.bake.packages import kernel_of, packages_of
from bakehouse.cloud.facts import Facts
from bakehouse.history.manifest import Package, encode

PACKAGES = (Package("bash", "5.2", "amd64"), Package("nginx", "1.22", "amd64"))


def test_the_serial_line_is_enough() -> None:
    assert packages_of(Facts(name="b", said=({"manifest": encode(PACKAGES)},))) == PACKAGES


def test_the_guest_attribute_is_enough_and_survives_a_torn_line() -> None:
    found = Facts(
        name="b", said=({"manifest": "H4sI torn"},), attributes={"manifest": encode(PACKAGES)}
    )
    assert packages_of(found) == PACKAGES


def test_no_manifest_is_not_an_empty_one() -> None:
    assert packages_of(Facts(name="b")) is None


def test_the_newest_kernel_counts_by_number() -> None:
    installed = tuple(
        Package(f"linux-image-{release}", "1", "amd64")
        for release in ("6.1.0-9-cloud-amd64", "6.1.0-41-cloud-amd64", "cloud-amd64")
    )
    assert kernel_of(installed) == "6.1.0-41-cloud-amd64"
    assert kernel_of(()) is None
