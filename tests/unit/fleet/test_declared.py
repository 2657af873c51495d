"""Fleets that are declared whole: their members, their template, and what is refused."""

from __future__ import annotations

import pytest
from tests.support.paths import PROJECT

from bakehouse.fleet.declared import secrets_in_the_open
from bakehouse.fleet.load import load_fleet
from bakehouse.fleet.members import metadata_of
from bakehouse.fleet.model import Fleet
from bakehouse.recipe.load import Mistakes

A, B, C = "us-central1-a", "us-central1-b", "us-central1-c"
BROKERS = """\
recipe: kafka
members: {name: "kafka-{n}", count: 3, zones: [us-central1-a, us-central1-b]}
template:
  machine_type: e2-standard-4
  disks: [{name: data, size_gb: 100, type: pd-ssd}]
  metadata: {cluster: main}
"""
LISTED = """\
recipe: web
members:
  instances:
    - web-1
    - {name: web-2, zone: us-central1-b, address: web-2, metadata: {rack: b}}
    - name: web-3
  zones: [us-central1-a, us-central1-b, us-central1-c]
template: {machine_type: e2-small}
"""


def fleet(text: str) -> Fleet:
    return load_fleet(text, "include/fleets/kafka.yaml")


def mistakes(text: str) -> list[str]:
    with pytest.raises(Mistakes) as told:
        fleet(text)
    return [str(one).removeprefix("include/fleets/kafka.yaml:") for one in told.value.mistakes]


def test_a_pattern_and_a_count_name_the_members_and_spread_them_over_the_zones() -> None:
    declared = fleet(BROKERS).members.declared
    assert [(one.name, one.zone) for one in declared] == [
        ("kafka-1", A),
        ("kafka-2", B),
        ("kafka-3", A),
    ]


@pytest.mark.parametrize(
    ("pattern", "first", "names"),
    [
        ("kafka-{n}", 0, ("kafka-0", "kafka-1")),
        ("kafka-{n:02}", 9, ("kafka-09", "kafka-10")),
        ("k{n}-broker", 1, ("k1-broker", "k2-broker")),
    ],
)
def test_the_numbers_of_a_pattern_begin_anywhere_and_may_have_zeros(
    pattern: str, first: int, names: tuple[str, ...]
) -> None:
    text = f'recipe: k\nmembers: {{name: "{pattern}", count: 2, first: {first}, zones: [{A}]}}\n'
    assert fleet(text).members.names == names


def test_members_of_a_list_may_have_a_zone_an_address_and_metadata_of_their_own() -> None:
    one, two, three = fleet(LISTED).members.declared
    assert (one.zone, two.zone, three.zone) == (A, B, C)
    assert (two.address, two.metadata) == ("web-2", {"rack": "b"})


def test_where_each_member_names_its_zone_the_fleet_need_not() -> None:
    text = f"recipe: w\nmembers: {{instances: [{{name: a, zone: {B}}}, {{name: b, zone: {A}}}]}}\n"
    assert fleet(text).members.zones == (B, A)


@pytest.mark.parametrize("text", [BROKERS, LISTED])
def test_the_json_form_of_a_declared_fleet_is_the_form_of_the_file(text: str) -> None:
    found = fleet(text)
    assert Fleet.model_validate(found.model_dump(mode="json")) == found
    if found.members.instances:
        written = found.model_dump(mode="json")["members"]["instances"]
        assert written[0] == "web-1", "a member without anything of its own is its name"


def test_members_get_no_external_address_unless_the_template_says_so() -> None:
    template = fleet(BROKERS).template
    assert template is not None
    assert not template.external_ip


def test_a_fleet_with_a_template_creates_missing_members_and_one_without_does_not() -> None:
    assert fleet(BROKERS).creates_missing
    assert not fleet(BROKERS + "create_missing: false\n").creates_missing
    assert not fleet(f"recipe: w\nmembers: {{instances: [a], zones: [{A}]}}\n").creates_missing


def test_a_members_own_metadata_counts_and_bakehouse_adds_what_it_needs() -> None:
    assert metadata_of({"rack": "a", "cluster": "main"}, {"rack": "b"}) == {
        "rack": "b",
        "cluster": "main",
        "enable-guest-attributes": "TRUE",
        "bakehouse-role": "member",
    }


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ("{name: kafka, count: 3, zones: [z]}", "members.name does not have {n} once"),
        ('{name: "Kafka-{n}", count: 3, zones: [z]}', "members.name is not a name of a-z"),
        ('{name: "kafka-{n}-{n}", count: 3, zones: [z]}', "members.name does not have {n} once"),
        ('{name: "kafka-{n}", zones: [z]}', "members needs name and count together"),
        ('{name: "kafka-{n}", count: 0, zones: [z]}', "members.count must be at least 1"),
        ('{name: "k{n}", count: 2, instances: [a], zones: [z]}', "members needs one of instances"),
        ("{count: 2, zones: [z]}", "members needs one of instances"),
        (f'{{name: "{"k" * 62}{{n}}", count: 10, zones: [z]}}', "members has names of more than"),
        ("{instances: [{name: a}, a], zones: [z]}", "members.instances names a twice"),
        ("{instances: [a, {zone: z}], zones: [z]}", "members.instances[1].name is missing"),
        ("{instances: [a, A], zones: [z]}", "members.instances[1] is not a name of at most 63"),
        ("{instances: [1], zones: [z]}", "members.instances[0] is not a text"),
        ("{instances: [{name: a, zon: z}], zones: [z]}", "members.instances[0].zon is not a field"),
        ("{instances: [a]}", "members.zones is missing"),
    ],
)
def test_members_that_are_none_are_told_with_their_place(members: str, told: str) -> None:
    found = mistakes(f"recipe: web\nmembers: {members.replace('[z]', f'[{A}]')}\n")
    assert [one for one in found if one.startswith(f"2: {told}")], found


def test_the_field_that_is_meant_is_proposed_for_a_member_of_a_list() -> None:
    text = f"recipe: web\nmembers: {{instances: [{{name: a, zon: {A}}}], zones: [{A}]}}\n"
    assert mistakes(text)[0].endswith("Did you mean zone?")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("template: {}", "template.machine_type is missing"),
        ("template: {machine_type: e2-smal}", "template.machine_type is no machine type"),
        ("template: {machine_type: e2-small, disk: []}", "template.disk is not a field"),
        (
            "template: {machine_type: e2-small, disks: [&d {name: d, size_gb: 1}, *d]}",
            "template.disks names d twice",
        ),
        (
            "template: {machine_type: e2-small, disks: [{name: d, size_gb: 0}]}",
            "template.disks[0].size_gb must be at least 1",
        ),
        (
            "template: {machine_type: e2-small, metadata: {bakehouse-role: x}}",
            "template.metadata.bakehouse-role is set by Bakehouse",
        ),
        (
            "template: {machine_type: e2-small, labels: {bakehouse-fleet: x}}",
            "template.labels has labels of Bakehouse: bakehouse-fleet",
        ),
        (
            "template: {machine_type: c4-standard-4, boot_disk: {type: pd-ssd}}",
            "template.boot_disk.type is pd-ssd, which machines of the type c4-standard-4",
        ),
        (
            "template: {machine_type: e2-small, scopes: [https://x]}",
            "template.scopes have no service account",
        ),
    ],
)
def test_a_template_that_compute_engine_would_refuse_is_told(line: str, told: str) -> None:
    text = f"recipe: web\nmembers: {{instances: [a], zones: [{A}]}}\n{line}\n"
    found = mistakes(text)
    assert [one for one in found if one.startswith(f"3: {told}")], found


def test_names_of_disks_that_are_too_long_are_told_with_the_name() -> None:
    name, disk = "w" * 40, "d" * 30
    text = f"recipe: web\nmembers: {{instances: [{name}], zones: [{A}]}}\ntemplate:\n"
    text += f"  machine_type: e2-small\n  disks: [{{name: {disk}, size_gb: 1}}]\n"
    assert mistakes(text) == [
        f"5: template.disks[0].name makes the disk {name}-{disk}, a name of 71 characters"
        f" (it is '{disk}'). Shorten it: at most 63"
    ]


def test_a_subnetwork_of_another_region_is_told_for_each_zone() -> None:
    text = f"recipe: web\nmembers: {{instances: [a], zones: [{A}, europe-west1-b]}}\n"
    text += "template: {machine_type: e2-small, subnetwork: regions/europe-west1/subnetworks/s}\n"
    (found,) = mistakes(text)
    assert found.startswith("2: members.zones[0] is not in europe-west1, the region of the subnet")


def test_a_template_and_labels_do_not_go_together() -> None:
    text = f"recipe: w\nmembers: {{labels: {{a: b}}, zones: [{A}]}}\n"
    text += "template: {machine_type: e2-small}\n"
    assert "cannot create members that are chosen by labels" in mistakes(text)[0]


def test_what_needs_a_template_is_told_without_one() -> None:
    text = f"recipe: w\nmembers:\n  zones: [{A}]\n  instances:\n"
    text += "    - {name: a, address: ip, metadata: {b: c}}\nstrategy: recreate\n"
    found = mistakes(text)
    assert [one.partition(" is ")[0] for one in found] == [
        "5: members.instances[0].address",
        "5: members.instances[0].metadata",
        "6: strategy",
    ]


def test_an_address_of_two_members_and_a_zone_that_is_not_listed_are_told() -> None:
    text = f"recipe: w\ntemplate: {{machine_type: e2-small}}\nmembers:\n  zones: [{A}]\n"
    text += "  instances:\n    - {name: a, address: ip}\n"
    text += f"    - {{name: b, address: ip, zone: {B}}}\n"
    assert [one.partition(" (")[0] for one in mistakes(text)] == [
        "7: members.instances[1].address is the address of a too",
        "7: members.instances[1].zone is not in zones",
    ]


def test_equal_addresses_in_two_regions_are_two() -> None:
    text = "recipe: w\ntemplate: {machine_type: e2-small}\nmembers:\n  instances:\n"
    text += f"    - {{name: a, address: ip, zone: {A}}}\n"
    text += "    - {name: b, address: ip, zone: europe-west1-b}\n"
    assert fleet(text).members.names == ("a", "b")


def test_the_example_of_the_guide_declares_a_whole_fleet() -> None:
    guide = (PROJECT / "docs" / "fleets.md").read_text()
    section = guide.partition("## Declare the whole fleet")[2].partition("\n## ")[0]
    whole, members = (part.partition("```")[0] for part in section.split("```yaml\n")[1:])
    found = fleet(whole)
    assert found.members.names == ("kafka-1", "kafka-2", "kafka-3")
    assert found.creates_missing
    listed = fleet(f"recipe: web\ntemplate: {{machine_type: e2-small}}\n{members}")
    assert [one.zone for one in listed.members.declared] == [A, B]


def test_the_example_of_this_repository_is_created_by_its_first_rollout() -> None:
    text = (PROJECT / "include" / "fleets" / "web.yaml").read_text()
    found = fleet(text)
    assert found.creates_missing
    assert found.members.names == ("web-1", "web-2", "web-3")


def test_an_internal_address_of_another_network_needs_its_subnetwork() -> None:
    text = f"recipe: w\nmembers: {{instances: [{{name: a, address: ip, zone: {A}}}]}}\n"
    text += "template: {machine_type: e2-small, network: prod}\n"
    (found,) = mistakes(text)
    assert found.startswith("3: template.network has no subnetwork, of which internal addresses")
    assert fleet(text.replace("network: prod", "subnetwork: prod-us"))


def test_two_members_whose_data_disks_would_have_one_name_are_told() -> None:
    text = f"recipe: w\nmembers: {{instances: [a, a-b], zones: [{A}]}}\ntemplate:\n"
    text += "  machine_type: e2-small\n  disks: [{name: c, size_gb: 1}, {name: b-c, size_gb: 1}]\n"
    (found,) = mistakes(text)
    assert found.startswith(
        "5: template.disks[1].name makes the disk a-b-c of a, which is one of a-b too"
    )


SECRETS = """\
recipe: web
members:
  instances:
    - {name: web-1, metadata: {db-password: secret://web-1-db}}
  zones: [us-central1-a]
template:
  machine_type: e2-small
  service_account: web@p.iam.gserviceaccount.com
  metadata:
    api-token: secret://api/7
"""


def test_metadata_may_refer_to_secrets() -> None:
    declared = fleet(SECRETS)
    assert declared.template is not None
    assert declared.template.metadata == {"api-token": "secret://api/7"}
    assert secrets_in_the_open(declared) == []


@pytest.mark.parametrize("wrong", ["secret:/api", "secret://", "secret://a/b/c", "secret:///a"])
def test_a_malformed_reference_is_told_with_its_line(wrong: str) -> None:
    text = SECRETS.replace("secret://api/7", wrong)
    assert mistakes(text) == [
        f"10: template.metadata.api-token is malformed: write secret://NAME or"
        f" secret://NAME/VERSION; a name has letters, digits, - and _ (it is '{wrong}'). Correct it"
    ]


def test_a_reference_needs_an_account_that_can_read_it() -> None:
    account = "  service_account: web@p.iam.gserviceaccount.com\n"
    assert [one.partition(" needs")[0] for one in mistakes(SECRETS.replace(account, ""))] == [
        "4: members.instances[0].metadata.db-password",
        "9: template.metadata.api-token",
    ]
    scopes = "  scopes: [https://www.googleapis.com/auth/devstorage.read_only]\n"
    assert (
        "with the scope cloud-platform" in mistakes(SECRETS.replace(account, account + scopes))[0]
    )


@pytest.mark.parametrize(
    ("key", "value", "is_told"),
    [
        ("db-password", "hunter2", True),
        ("DB_PASSWORD", "hunter2", True),
        ("join-token", "abc", True),
        ("api_key", "abc", True),
        ("client-secret", "abc", True),
        ("db-password", "''", False),
        ("password-file", "/run/x", False),
        ("token-url", "https://x", False),
        ("secret-name", "x", False),
        ("color", "blue", False),
    ],
)
def test_a_secret_in_the_open_is_found_by_its_name(key: str, value: str, is_told: bool) -> None:
    text = SECRETS.replace("api-token: secret://api/7", f"{key}: {value}")
    told = [one.loc for one in secrets_in_the_open(fleet(text))]
    assert told == ([("template", "metadata", key)] if is_told else [])


def test_metadata_that_the_fleet_says_are_no_secret_are_none() -> None:
    text = SECRETS.replace("api-token: secret://api/7", "etcd-cluster-token: blue")
    assert len(secrets_in_the_open(fleet(text))) == 1
    assert secrets_in_the_open(fleet(text + "not_secret: [etcd-cluster-token]\n")) == []


def test_a_key_that_nobody_has_is_told_where_it_is_said_to_be_no_secret() -> None:
    (told,) = mistakes(SECRETS + "not_secret: [api-tokens]\n")
    assert "not_secret[0] is metadata of neither the template nor a member" in told
