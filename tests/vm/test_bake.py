"""The bake on real machines: what the page shows, only a booted machine can tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from bakehouse.history.sbom import parse_sbom
from bakehouse.images.links import zone_of

if TYPE_CHECKING:
    from bakehouse.history.manifest import Manifest
    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

HOUR = 3600.0  # seconds


@pytest.mark.ci
def test_a_real_machine_is_baked_booted_and_promoted(bed: Testbed) -> None:
    bed.compute.fault(kind="operation", method="compute.instances.insert", code="STOCKOUT")
    run_id = bed.airflow.trigger("bake__web", {"git_ref": bed.head, "spot": "yes"})
    first = the_first_builder_is_preempted(bed, run_id)
    run = bed.airflow.wait("bake__web", run_id, deadline=HOUR)

    assert run.state == "success", bed.explain(run)
    assert zone_of(first) == "us-central1-b"
    assert "trying the next zone" in bed.log(run, "create_builder")
    built = bed.airflow.xcom("bake__web", run_id, "wait_for_shutdown")["builder"]
    assert built["zone"] != zone_of(first), "another one, elsewhere"
    assert "the spot VM was preempted" in bed.log(run, "wait_for_shutdown")

    image = bed.compute.newest_of("web")
    assert image["status"] == "READY"
    assert image["labels"]["git-sha"] == bed.head
    assert int(image["labels"]["packages"]) > 100
    assert bed.left() == []

    the_sbom_is_true(bed, run, image)
    a_second_night_costs_nothing(bed, image)


def the_first_builder_is_preempted(bed: Testbed, run_id: str) -> dict[str, Any]:
    """The machine, as it was when it was taken away, while it was waited for."""
    bed.airflow.wait_for_task("bake__web", run_id, "wait_for_shutdown", ["deferred"], 900)
    (found,) = bed.compute.instances()
    assert found["scheduling"]["provisioningModel"] == "SPOT"
    bed.compute.fault(kind="preempt", instance=found["name"])
    return found


def the_sbom_is_true(bed: Testbed, run: Run, image: dict[str, Any]) -> None:
    """Against what apt and the kernels of the machines have said on their serial ports."""
    file = bed.stack.layout.airflow_home / f"ledger/manifests/{image['name']}.spdx.json"
    text = file.read_text()
    document = JsonLikeDictParser().parse(json.loads(text))
    assert validate_full_spdx_document(document, "SPDX-2.3") == []
    manifest = parse_sbom(text).manifest
    versions = {package.name: package.version for package in manifest.packages}
    assert len(manifest.packages) == int(image["labels"]["packages"])
    assert {"libc6", "systemd", "python3-jinja2", "google-guest-agent"} <= versions.keys()
    installed = re.findall(r"Unpacking (\S+) \((\S+)\)", bed.log(run, "wait_for_shutdown"))
    unpacked = {name.partition(":")[0]: version for name, version in installed}
    assert "nginx-light" in unpacked
    assert unpacked.items() <= versions.items()
    the_files_are_told(manifest, image, bed.log(run, "smoke_test"))


def the_files_are_told(manifest: Manifest, image: dict[str, Any], smoke_log: str) -> None:
    files = manifest.files
    assert files.kernel is not None
    assert f"Linux version {files.kernel} " in smoke_log, "the kernel that the image has booted"
    assert image["labels"]["kernel"] == re.sub(r"[^a-z0-9_-]", "-", files.kernel)
    assert files.os == ("debian", "12")
    assert {"bakehouse-boot.service", "google-guest-agent.service"} <= set(files.enabled)
    assert "nginx.service" not in files.enabled, "it starts once its config is rendered"
    assert files.started == ("nginx",)
    assert files.used_bytes is not None
    assert files.size_bytes is not None
    assert 3e8 < files.used_bytes < files.size_bytes
    assert manifest.sources is not None
    assert {source.component for source in manifest.sources} >= {"main"}
    assert {"bookworm", "bookworm-security"} <= {source.suite for source in manifest.sources}


def a_second_night_costs_nothing(bed: Testbed, image: dict[str, Any]) -> None:
    """Its packages are the newest that the archive has, which is asked for real."""
    bed.compute.forget()
    again = bed.bake("bake__web", deadline=HOUR, git_ref=bed.head)
    assert again.state == "success", bed.explain(again)
    plan = bed.airflow.xcom(again.dag_id, again.run_id, "plan_bake")
    assert plan["bake"] is False, plan["updates"]
    assert plan["existing_image"] == image["name"]
    assert (plan["updates"]["found"], plan["updates"]["unread"]) == ([], [])
    assert plan["updates"]["indexes"] >= 3
    told = bed.compute.requests()
    asked = told["requests"] if isinstance(told, dict) else told
    assert not [r["method"] for r in asked if r["method"].endswith(".insert")]
