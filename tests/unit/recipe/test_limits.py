"""What Compute Engine would refuse is found in the file, with its line and a remedy."""

from __future__ import annotations

import pytest

from bakehouse.bake.base_image import check_fits
from bakehouse.bake.plan import BaseImage
from bakehouse.core.errors import PermanentError
from bakehouse.recipe.limits import architecture_of, problems_of, secrets_in_the_open
from bakehouse.recipe.load import Mistakes, load_recipe
from bakehouse.recipe.rules import between
from bakehouse.recipe.secret_references import CLOUD_PLATFORM

PATH = "include/recipes/web.yaml"
HOST = "projects/net-host/regions/europe-west3/subnetworks/bakers"
KEY = "projects/p/locations/{}/keyRings/r/cryptoKeys/k"


def mistakes(text: str) -> list[str]:
    """The lines and messages about a recipe with this text."""
    try:
        load_recipe(f"base: debian-cloud/debian-12\n{text}", PATH)
    except Mistakes as found:
        return [str(one).removeprefix(f"{PATH}:") for one in found.mistakes]
    return []


@pytest.mark.parametrize(
    "text",
    [
        f"builder: {{zones: [europe-west3-a, europe-west3-b], subnetwork: {HOST}}}",
        "builder: {zones: [europe-west3-a, us-central1-b], subnetwork: bakers}",
        f"builder: {{zones: [europe-west3-a], network: projects/net-host/global/networks/n,"
        f" subnetwork: {HOST}}}",
        f"builder: {{zones: [europe-west3-a], network: n, subnetwork: {HOST}}}",
        "builder: {network: https://www.googleapis.com/compute/v1/projects/p-1/global/networks/n}",
        "builder: {network: global/networks/n, subnetwork: regions/us-central1/subnetworks/s}",
        "builder: {machine_type: n4-standard-2, disk_type: hyperdisk-balanced}",
        "builder: {machine_type: c3-standard-4, disk_type: pd-ssd}",
        "builder: {machine_type: n2-custom-4-8192-ext}",
        "builder: {machine_type: custom-2-4096, disk_type: pd-standard}",
        "builder: {disk_gb: 65536}",
        f"image: {{kms_key: {KEY.format('us')}}}",
        f"image: {{kms_key: {KEY.format('global')}/cryptoKeyVersions/3}}",
        f"image: {{kms_key: {KEY.format('us-central1')}}}",
        "image: {storage_location: eu}",
        "image: {storage_location: northamerica-northeast1}",
        "builder: {service_account: default, scopes: [https://www.googleapis.com/auth/a]}",
        "builder: {service_account: 1-compute@developer.gserviceaccount.com}",
        "builder: {service_account: a@p.example.com.iam.gserviceaccount.com}",
        "smoke: {deadline: 1h, metadata: {a: b}}",
    ],
)
def test_what_compute_engine_takes_is_taken(text: str) -> None:
    assert mistakes(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("builder: {machine_type: n4-standard-2}", "2: builder.disk_type is pd-balanced, which"),
        (
            "builder: {machine_type: c4-standard-2, disk_type: pd-ssd}",
            "Choose one of: hyperdisk-balanced",
        ),
        (
            "builder: {machine_type: c3-standard-4, disk_type: pd-standard}",
            "Choose one of: pd-balanced, pd-ssd, hyperdisk-balanced",
        ),
        (
            "builder: {machine_type: h3-standard-88, disk_type: pd-ssd}",
            "Choose one of: pd-balanced, hyperdisk-balanced",
        ),
        ("builder: {disk_type: hyperdisk-balanced}", "machines of the type e2-small cannot have"),
        (
            "builder: {machine_type: custom-2-4096, disk_type: hyperdisk-balanced}",
            "custom-2-4096 cannot have",
        ),
        ("builder: {disk_type: pd-extreme}", "builder.disk_type must be"),
        ("builder: {machine_type: t2a-standard-1}", "1: base is an image for X86_64"),
        (
            "builder: {machine_type: E2-small}",
            "builder.machine_type is not the name of a machine type",
        ),
        (
            "builder: {machine_type: zones/z/machineTypes/e2-small}",
            "builder.machine_type is not the name of a machine type",
        ),
        (f"builder: {{machine_type: e2-{'x' * 63}}}", "builder.machine_type must have at most"),
        ("builder: {disk_gb: 9}", "2: builder.disk_gb must be at least 10"),
        ("builder: {disk_gb: 65537}", "builder.disk_gb must be at most 65536"),
        (
            f"builder:\n  zones:\n  - europe-west3-a\n  - us-central1-a\n  subnetwork: {HOST}",
            "5: builder.zones[1] is not in europe-west3, the region of the subnetwork"
            " (it is 'us-central1-a'). Remove it, or give the subnetwork's name without a region",
        ),
        (
            "builder:\n  zones: [europe-west3-a]\n"
            f"  network: projects/mine/global/networks/n\n  subnetwork: {HOST}",
            "4: builder.network is in another project than the subnetwork bakers",
        ),
        ("builder: {network: my network}", "builder.network is neither the name"),
        ("builder: {network: regions/r-1/subnetworks/s}", "builder.network is neither the name"),
        ("builder: {subnetwork: global/networks/n}", "builder.subnetwork is neither the name"),
        (
            "builder: {subnetwork: projects/p/regions/mars/subnetworks/n}",
            "subnetwork is neither the name",
        ),
        (f"builder: {{network: {'n' * 64}}}", "builder.network is neither the name"),
        ("builder: {zones: [us-central1]}", "builder.zones[0] is not a zone"),
        ("builder: {zones: [zones/us-central1-a]}", "builder.zones[0] is not a zone"),
        ("builder: {zones: []}", "1 or more entries"),
        ("builder: {tags: [Web]}", "builder.tags[0] is not a name of at most 63"),
        (f"builder: {{tags: [{', '.join(f't{n}' for n in range(65))}]}}", "at most 64 entries"),
        (
            "builder: {service_account: bakery}",
            "builder.service_account is neither an e-mail address",
        ),
        (
            "builder: {service_account: '@p.iam'}",
            "builder.service_account is neither an e-mail address",
        ),
        ("builder: {scopes: [https://s/x]}", "builder.scopes have no service account"),
        (
            "builder: {service_account: a@b, scopes: [cloud-platform]}",
            "builder.scopes[0] is not a URL",
        ),
        ("builder: {max_run_minutes: 1441}", "builder.max_run_minutes must be at most"),
        ("image: {kms_key: k}", "image.kms_key is not the whole path"),
        (
            "image: {kms_key: projects/p/locations/us/keyRings/r}",
            "image.kms_key is not the whole path",
        ),
        (
            f"image: {{kms_key: {KEY.format('europe-west3')}}}",
            "image.kms_key is a key of europe-west3, which disks in us-central1-a cannot use",
        ),
        ("image: {storage_location: mars}", "image.storage_location is neither us, eu or asia"),
        (
            "image: {storage_location: us-central1-a}",
            "image.storage_location is neither us, eu or asia",
        ),
        ("image: {family: Web}", "image.family is not a name of at most 63"),
        (f"image: {{family: {'f' * 64}}}", "image.family is not a name of at most 63"),
        ("smoke: {metadata: {'a b': x}}", "smoke.metadata.a b is not a name of at most 128"),
        (f"smoke: {{metadata: {{{'k' * 129}: x}}}}", "is not a name of at most 128"),
        ("smoke: {metadata: {block-project-ssh-keys: x}}", "is Bakehouse's own"),
        ('smoke: {metadata: {a: "\\0"}}', "a character that metadata cannot contain"),
        (f"smoke: {{metadata: {{a: {'é' * 131_073}}}}}", "is 262,146 bytes; a metadata value has"),
        ("smoke: {deadline: 101d}", "smoke.deadline must be at most 100 days"),
        ("max_age: 3651d", "max_age must be at most 3650d"),
        ("image: {keep: {grace: 999999d}}", "image.keep.grace must be at most 3650d"),
    ],
)
def test_what_compute_engine_refuses_is_refused(text: str, message: str) -> None:
    (found,) = mistakes(text)
    assert message in found


def test_rules_across_fields_are_told_beside_mistakes_of_other_fields() -> None:
    found = mistakes(
        "nonsense: 1\n"
        "builder:\n"
        "  machine_type: c3-standard-4\n"
        "  disk_type: pd-standard\n"
        "  disk_gb: 1\n"
        "  zones: [europe-west3-a, us-central1-a]\n"
        f"  subnetwork: {HOST}\n"
        "schedule: never\n"
    )
    assert [one.partition(" ")[0] for one in found] == ["2:", "5:", "6:", "7:", "9:"]


def test_a_wrong_field_is_not_told_twice() -> None:
    (found,) = mistakes("builder: {machine_type: n4-standard-2, disk_type: pd-extreme}")
    assert "disk_type must be" in found


@pytest.mark.parametrize(
    ("base", "machine_type", "fits"),
    [
        ("debian-cloud/debian-12-arm64", "t2a-standard-1", True),
        ("debian-cloud/debian-12-arm64", "e2-small", False),
        ("debian-cloud/images/debian-12-bookworm-arm64-v20261110", "c4a-standard-1", True),
        ("ubuntu-os-cloud/ubuntu-2404-lts-amd64", "c4a-standard-1", False),
        ("my-project/my-family", "t2a-standard-1", True),  # nobody knows before
    ],
)
def test_the_machine_runs_the_programs_of_its_base(
    base: str, machine_type: str, fits: bool
) -> None:
    disk = "hyperdisk-balanced" if machine_type.startswith("c4a") else "pd-balanced"
    text = f"base: {base}\nbuilder: {{machine_type: {machine_type}, disk_type: {disk}}}\n"
    if fits:
        load_recipe(text, PATH)
    else:
        with pytest.raises(Mistakes, match=r"yaml:1: base is an image for .* or another machine"):
            load_recipe(text, PATH)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("e2-small", "X86_64"),
        ("n2d-standard-2", "X86_64"),
        ("custom-2-4096", "X86_64"),
        ("t2a-standard-1", "ARM64"),
        ("c4a-standard-4-lssd", "ARM64"),
        ("n4a-custom-2-8192", "ARM64"),
    ],
)
def test_a_series_has_one_architecture(name: str, kind: str) -> None:
    assert architecture_of(name) == kind


def test_a_layers_disk_and_machine_fit_the_images_that_it_is_built_on() -> None:
    parent = load_recipe(
        "base: a/arm\nbuilder: {machine_type: t2a-standard-1, disk_gb: 20}\n", "p.yaml"
    )
    child = load_recipe("base: {recipe: p}\n", "c.yaml")
    found = [
        (one.recipe, ".".join(map(str, one.loc)), one.remedy) for one in between([parent, child])
    ]
    assert found == [
        ("c", "builder.disk_gb", "Set it to 20 or more"),
        ("c", "builder.machine_type", "Choose a machine type for ARM64, such as t2a-standard-1"),
    ]
    same = "base: {recipe: p}\nbuilder: {machine_type: t2a-standard-2, disk_gb: 20}\n"
    assert between([parent, load_recipe(same, "c.yaml")]) == []


def test_the_base_image_itself_is_looked_at_before_a_builder_is_made() -> None:
    builder = load_recipe("base: a/b\n", PATH).builder
    image = BaseImage(self_link="x", id="1", name="win", disk_gb=50, architecture="X86_64")
    with pytest.raises(PermanentError, match=r"disk_gb is 10.*win has 50 GB: set it to 50 or more"):
        check_fits(image, builder)
    arm = image.model_copy(update={"disk_gb": 10, "architecture": "ARM64"})
    with pytest.raises(PermanentError, match=r"win is for ARM64, but e2-small is X86_64"):
        check_fits(arm, builder)
    for told in ("X86_64", "", "ARCHITECTURE_UNSPECIFIED"):
        check_fits(arm.model_copy(update={"architecture": told}), builder)


LOGIN = "{machine: packages.example.org/debian, login: build, password: secret://apt}"
ACCOUNT = "service_account: builder@p.iam.gserviceaccount.com"


def logins(builder: str) -> list[str]:
    with pytest.raises(Mistakes) as told:
        load_recipe(f"base: debian-cloud/debian-12\nbuilder: {{{builder}}}\n", PATH)
    return [str(one).partition(":2: ")[2] for one in told.value.mistakes]


def test_a_login_of_an_archive_names_a_secret_and_a_wrong_one_is_not_shown() -> None:
    fine = f"base: debian-cloud/debian-12\nbuilder: {{apt_auth: [{LOGIN}], {ACCOUNT}}}\n"
    assert load_recipe(fine, PATH).builder.all_scopes == (CLOUD_PLATFORM,)
    (told,) = logins(f"apt_auth: [{LOGIN.replace('secret://apt', 'hunter2')}], {ACCOUNT}")
    assert told.startswith(
        "builder.apt_auth[0].password is not a secret of Secret Manager: write secret://NAME"
    )
    assert "hunter2" not in told
    (told,) = logins(f"apt_auth: [{LOGIN.replace('secret://apt', 'secret://a/b/c')}], {ACCOUNT}")
    assert "is malformed" in told


def test_a_login_of_an_archive_needs_an_account_that_can_read_the_secret() -> None:
    assert "needs the builder's service account" in logins(f"apt_auth: [{LOGIN}]")[0]
    scopes = "scopes: ['https://www.googleapis.com/auth/devstorage.read_only']"
    (told,) = logins(f"apt_auth: [{LOGIN}], {ACCOUNT}, {scopes}")
    assert told.startswith("builder.scopes lack cloud-platform")


def test_what_ships_has_no_problem() -> None:
    assert problems_of(load_recipe("base: debian-cloud/debian-12\n", PATH)) == []


@pytest.mark.parametrize(
    ("var", "is_told"),
    [
        ("db_password: hunter2", True),
        ("API_TOKEN: 123456", True),
        ("private_key: '-----BEGIN'", True),
        ("db_password: ''", False),
        ("db_password: secret://db", False),
        ("password_file: /run/x", False),
        ("kafka_version: '4.4.0'", False),
    ],
)
def test_a_secret_among_the_vars_is_found_by_its_name(var: str, is_told: bool) -> None:
    text = f"base: debian-cloud/debian-12\nvars: {{{var}}}\n"
    told = [one.loc for one in secrets_in_the_open(load_recipe(text, PATH))]
    name = var.partition(":")[0]
    assert told == ([("vars", name)] if is_told else [])
    assert secrets_in_the_open(load_recipe(f"{text}not_secret: [{name}]\n", PATH)) == []


def test_a_name_that_is_no_var_is_told_where_it_is_said_to_be_no_secret() -> None:
    (told,) = mistakes("vars: {api_token: blue}\nnot_secret: [api_tokens]")
    assert "not_secret[0] is no var" in told
