"""Machine types, zones and regions that do not exist are told, and newer ones can be meant."""

from __future__ import annotations

import pytest

from bakehouse.recipe.known_names import REGIONS, unknown_machine_type, unknown_zone
from bakehouse.recipe.load import Mistakes, load_recipe

PATH = "include/recipes/web.yaml"


def told(text: str, base: str = "debian-cloud/debian-12") -> list[str]:
    try:
        load_recipe(f"base: {base}\n{text}\n", PATH)
    except Mistakes as found:
        return [str(one).removeprefix(f"{PATH}:") for one in found.mistakes]
    return []


@pytest.mark.parametrize(
    "name",
    [
        *("e2-micro", "e2-small", "e2-standard-32", "e2-highcpu-2", "e2-custom-small-2048"),
        *("f1-micro", "g1-small", "n1-standard-1", "n1-highmem-96", "custom-2-4096"),
        *("n2-standard-128", "n2-custom-4-8192-ext", "n2d-standard-224", "t2d-standard-60"),
        *("t2a-standard-48", "c2-standard-60", "c2d-highmem-112", "c3-standard-4-lssd"),
        *("c3-standard-192-metal", "c3d-standard-360", "c4-standard-288", "c4a-highmem-72"),
        *("c4d-standard-384", "n4-custom-2-4096", "n4d-standard-2", "m3-ultramem-32"),
        *("m1-megamem-96", "x4-megamem-960-metal", "z3-highmem-88", "h3-standard-88"),
        *("a2-highgpu-1g", "a3-megagpu-8g", "g2-standard-4", "a4x-highgpu-4g", "h4d-standard-192"),
    ],
)
def test_machine_types_of_google_are_taken(name: str) -> None:
    assert unknown_machine_type(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("e2-smal", "1.*"),
        ("e2-huge", ""),
        ("e2-standard-3", "e2-standard has 2, 4, 8, 16, 32"),
        ("e2-standard", "e2-standard-N"),
        ("e2-standrd-4", "e2-standard-N"),
        ("n2-standard-100", "n2-standard has"),
        ("n1-medium-2", "n1-standard-N"),
        ("t2d-highmem-4", "t2d-standard-N"),
        ("c3-custom-2-4096", "c3-standard-N"),
        ("z9-standard-4", "Did you mean"),
        ("t2-micro", "Did you mean"),
        ("xx-yy", "Known are"),
        ("m5-large", ""),
        ("e2-custom-3-4096", "Their number is even"),
        ("e2-custom-4-5000", "Such as 4864"),
        ("e2-custom-4", "e2-custom-4-8192"),
        ("custom-2", "e2-custom-4-8192"),
        ("n2-custom-small-2048", "e2-custom-4-8192"),
    ],
)
def test_machine_types_that_nobody_has_are_told(name: str, problem: str) -> None:
    (one,) = told(f"builder: {{machine_type: {name}}}")
    assert one.startswith("2: builder.machine_type ")
    assert problem.strip(".*1") in one
    assert "unlisted: true" in one


def test_a_name_newer_than_the_lists_can_be_meant() -> None:
    builder = "machine_type: z9-standard-4, zones: [europe-west99-a], unlisted: true"
    assert told(f"builder: {{{builder}}}\nimage: {{storage_location: europe-west99}}") == []


@pytest.mark.parametrize(
    "zone", [f"{region}-b" for region in sorted(REGIONS)] + ["us-central1-f", "us-east1-d"]
)
def test_zones_of_google_are_taken(zone: str) -> None:
    assert unknown_zone(zone) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("builder: {zones: [us-centrall1-a]}", "zones[0] names the region us-centrall1"),
        ("builder: {zones: [us-central1-e]}", "zones[0] is no zone of us-central1 that is known"),
        ("builder: {zones: [us-east1-a]}", "us-east1-b, us-east1-c, us-east1-d"),
        ("builder: {zones: [us-central1-a, mars-west1-a]}", "zones[1] names the region mars-west1"),
        ("image: {storage_location: europe-west5}", "storage_location names the region"),
        ("image: {storage_location: us-centrl1}", "Did you mean us-central1?"),
    ],
)
def test_places_that_do_not_exist_are_told(text: str, expected: str) -> None:
    assert any(expected in one for one in told(text)), told(text)


@pytest.mark.parametrize(
    ("base", "gb", "least"),
    [
        ("rocky-linux-cloud/rocky-linux-9", 10, 20),
        ("rhel-cloud/rhel-9", 19, 20),
        ("rhel-cloud/images/rhel-9-v20261110", 19, 20),
        ("projects/centos-cloud/global/images/family/centos-stream-9", 10, 20),
    ],
)
def test_a_disk_smaller_than_the_base_is_told(base: str, gb: int, least: int) -> None:
    (one,) = told(f"builder: {{disk_gb: {gb}}}", base)
    assert f"builder.disk_gb is {gb}, but images of" in one
    assert f"Set it to {least} or more" in one
    assert told(f"builder: {{disk_gb: {least}}}", base) == []


def test_the_disk_of_a_projects_own_image_is_known_to_the_api_only() -> None:
    assert told("builder: {disk_gb: 10}", "my-project/golden") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jitter: 25h", "3: jitter is longer than a day"),
        ("jitter: 2h\nschedule: 0 * * * *", "jitter is longer than the 1h between two runs"),
        ("jitter: 12m\nschedule: '*/10 * * * *'", "Set it to 10m or less"),
        ("jitter: 13h\nschedule: 0 3,12 * * *", "longer than the 9h between"),
    ],
)
def test_a_jitter_beyond_the_next_run_is_told(text: str, expected: str) -> None:
    (one,) = told(f"description: x\n{text}")
    assert expected in one


@pytest.mark.parametrize(
    "text",
    [
        "schedule: '*/10 * * * *'",  # the default jitter fits whatever is given
        "jitter: 24h\nschedule: 0 3 * * *",
        "jitter: 24h\nschedule: 0 0 29 2 *",
        "jitter: 1h\nschedule: 30 * * * *",
        "jitter: 5m",
    ],
)
def test_a_jitter_within_the_period_is_taken(text: str) -> None:
    assert told(text) == []
