"""Quotas against the builders that run at a time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.core.check import State
from bakehouse.preflight.facts import CloudFacts, Quota, Unread
from bakehouse.preflight.needs import MachineNeed
from bakehouse.preflight.quota import check_quotas, shortages

ZONE, REGION = "us-central1-a", "us-central1"
BUILDER = MachineNeed(
    file="include/recipes/web.yaml",
    machine_type="e2-standard-4",
    zones=(ZONE,),
    disk_gb=100,
    disk_type="pd-ssd",
    spot=False,
    network="default",
    subnetwork="",
    external_ip=False,
    service_account="",
    is_builder=True,
)


def facts(**limits: float) -> CloudFacts:
    quotas = {metric: Quota(limit, 0.0) for metric, limit in limits.items()}
    types = ("e2-standard-4", "n2-standard-4", "n4-standard-4")
    return CloudFacts(
        connection="c",
        project="p",
        quotas={REGION: quotas},
        cpus={(ZONE, kind): 4 for kind in types},
    )


def short(known: CloudFacts, *builders: MachineNeed, at_a_time: int = 8) -> list[str]:
    return [str(one) for one in shortages(known, builders, at_a_time)[0]]


def test_the_largest_builders_that_run_at_a_time_are_counted() -> None:
    big = replace(BUILDER, disk_gb=300)
    assert short(facts(CPUS=8, SSD_TOTAL_GB=399), BUILDER, big, at_a_time=2) == [
        "SSD_TOTAL_GB in us-central1: 400 needed, 399 free"
    ]
    assert short(facts(CPUS=8, SSD_TOTAL_GB=399), BUILDER, big, at_a_time=1) == []


def test_what_is_used_already_is_not_free() -> None:
    known = replace(facts(), quotas={REGION: {"INSTANCES": Quota(10, 10)}})
    assert short(known, BUILDER) == ["INSTANCES in us-central1: 1 needed, 0 free"]


def test_a_series_counts_for_its_own_quota_and_spot_for_that_of_spot() -> None:
    n2 = replace(BUILDER, machine_type="n2-standard-4")
    assert short(facts(CPUS=0, N2_CPUS=4), n2) == []
    assert short(facts(N2_CPUS=3), n2) == ["N2_CPUS in us-central1: 4 needed, 3 free"]
    spot = replace(n2, spot=True)
    assert short(facts(N2_CPUS=0, PREEMPTIBLE_CPUS=4), spot) == []
    assert short(facts(N2_CPUS=4, PREEMPTIBLE_CPUS=0), spot) == []  # no quota of its own
    assert short(facts(CPUS=3), replace(BUILDER, machine_type="n4-standard-4")) != []


def test_the_projects_quota_counts_the_builders_of_all_regions() -> None:
    known = replace(facts(), quotas={"": {"CPUS_ALL_REGIONS": Quota(7, 0)}, REGION: {}})
    assert short(known, BUILDER, BUILDER) == ["CPUS_ALL_REGIONS in all regions: 8 needed, 7 free"]


def test_the_remedy_is_the_most_builders_that_fit_or_the_page_to_ask() -> None:
    builders = [BUILDER] * 3
    some = check_quotas(facts(CPUS=9), builders, 8)
    assert some.remedy.startswith("airflow variables set bakehouse_builders 2   # or ask for more")
    none = check_quotas(facts(CPUS=3), builders, 8)
    assert none.remedy.startswith("ask for more: https://console.cloud.google.com/")


def test_a_region_that_could_not_be_read_hides_no_shortage_of_another() -> None:
    known = replace(facts(CPUS=1), quotas={"eu": Unread("x"), **facts(CPUS=1).quotas})
    assert check_quotas(known, [BUILDER], 8).state is State.WRONG
    assert check_quotas(replace(known, quotas={"eu": Unread("x")}), [BUILDER], 8).state is (
        State.UNKNOWN
    )


@given(
    limit=st.floats(0, 64),
    at_a_time=st.integers(1, 10),
    count=st.integers(0, 10),
)
def test_fewer_at_a_time_never_need_more(limit: float, at_a_time: int, count: int) -> None:
    builders = [BUILDER] * count
    if not short(facts(CPUS=limit), *builders, at_a_time=at_a_time):
        assert not short(facts(CPUS=limit), *builders, at_a_time=max(1, at_a_time - 1))
