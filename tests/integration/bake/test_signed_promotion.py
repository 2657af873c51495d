"""No image is promoted without its signed statements, and a bake that goes on signs the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.support.ledger import of_kind, read_ledger

from bakehouse.cloud.compute_hook import ComputeHook
from bakehouse.core.errors import PermanentError
from bakehouse.history.attestation_store import AttestationStore
from bakehouse.history.attestations import Attestations
from bakehouse.history.bake_events import PromotionEvent
from bakehouse.history.location import ledger_url
from bakehouse.images.attestation import AttestationState, facts_of
from bakehouse.images.statements import PROVENANCE, TEST_RESULT

from .walk import Walk

if TYPE_CHECKING:
    from devstack.gce_api import Compute

RELEASE = "7" * 64
INRELEASE = "deb.debian.org_debian_dists_bookworm_InRelease"


def walk(run_id: str, **params: Any) -> Walk:
    """A run up to its promotion."""
    run = Walk("loaf", run_id, force=True, **params)
    run.through("smoke_test")
    return run


def statements(run: Walk) -> dict[str, Any]:
    """What was signed of the run's image, by the type of its predicate."""
    made = run.handed["create_image"]
    data = AttestationStore(ledger_url()).read(made["name"], made["id"])
    assert data is not None
    envelopes = [json.loads(line) for line in data.splitlines()]
    payloads = [json.loads(base64.b64decode(envelope["payload"])) for envelope in envelopes]
    return {payload["predicateType"]: payload for payload in payloads}


def stored(run: Walk) -> Path:
    made = run.handed["create_image"]
    folder = Path(urlsplit(ledger_url()).path)
    return folder.joinpath("attestations", made["name"], f"{made['id']}.intoto.jsonl")


@pytest.mark.long
def test_a_promoted_image_has_signed_statements_of_its_bake_and_its_test(compute: Compute) -> None:
    sources = "http://deb.debian.org/debian bookworm main"
    settings = {"instant_releases": f"{INRELEASE}={RELEASE}", "instant_sources": sources}
    run = walk("manual__signed", vars=settings)
    run.through("promote_image", "promote_image")
    image = compute.image(run.handed["create_image"]["name"])
    told = Attestations(ledger_url()).verdict(facts_of(image))
    assert told.state is AttestationState.VERIFIED, told
    assert [check.name for check in told.checks].count("ledger") == 3

    said = statements(run)
    assert list(said) == [PROVENANCE, TEST_RESULT]
    subject = said[PROVENANCE]["subject"]
    assert subject == said[TEST_RESULT]["subject"]
    assert subject[0]["digest"] == {"gceImageId": image["id"]}
    assert subject[0]["name"].endswith(f"/global/images/{image['name']}")
    definition = said[PROVENANCE]["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["overriddenVars"] == sorted(settings)
    made_of = {one["name"]: one for one in definition["resolvedDependencies"]}
    assert made_of["commit"]["digest"]["gitCommit"] == image["labels"]["git-sha"]
    assert made_of["base-image"]["digest"]["gceImageId"] == image["labels"]["base-image-id"]
    assert made_of[INRELEASE]["digest"]["sha256"] == RELEASE
    assert made_of[INRELEASE]["uri"] == "http://deb.debian.org/debian/dists/bookworm/InRelease"
    details = said[PROVENANCE]["predicate"]["runDetails"]
    assert details["metadata"]["invocationId"] == f"{run.dag_id}/{run.run_id}"
    assert said[TEST_RESULT]["predicate"]["result"] == "PASSED"
    assert said[TEST_RESULT]["predicate"]["passedTests"]
    run.tear_down()


class Killed(BaseException):
    """The worker is gone."""


@pytest.mark.long
@pytest.mark.parametrize("step", ["patch_image", "label_image"])
def test_a_promotion_that_is_killed_behind_the_signature_goes_on_with_the_same(
    compute: Compute, step: str
) -> None:
    run = walk(f"manual__signed-killed-{step}")
    name = run.handed["create_image"]["name"]

    def kill(*_: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as once:
        once.setattr(ComputeHook, step, kill)
        with pytest.raises(Killed):
            run.try_("promote_image")
    assert compute.image(name)["labels"]["bakehouse-state"] == "candidate"
    assert not of_kind(PromotionEvent, read_ledger(ledger_url(), run.run_id))
    first, moment = stored(run).read_bytes(), stored(run).stat().st_mtime_ns
    run.try_("promote_image")
    assert compute.image(name)["labels"]["bakehouse-state"] == "promoted"
    assert (stored(run).read_bytes(), stored(run).stat().st_mtime_ns) == (first, moment)
    run.tear_down()


def test_a_kill_before_the_signature_leaves_a_candidate_and_no_statements(
    compute: Compute,
) -> None:
    run = walk("manual__signed-killed-early")
    name = run.handed["create_image"]["name"]
    with pytest.MonkeyPatch.context() as once:

        def kill(*_: Any) -> None:
            raise Killed

        once.setattr(AttestationStore, "write", kill)
        with pytest.raises(Killed):
            run.try_("promote_image")
    assert "family" not in compute.image(name)
    assert compute.image(name)["labels"]["bakehouse-state"] == "candidate"
    assert not stored(run).exists()
    run.try_("promote_image")
    assert compute.image(name)["family"] == "loaf"
    assert stored(run).exists()
    run.tear_down()


@pytest.mark.long
def test_a_label_that_was_changed_since_the_bake_is_not_promoted(compute: Compute) -> None:
    run = walk("manual__signed-relabelled")
    image = compute.image(run.handed["create_image"]["name"])
    told = {**image["labels"], "base-image-id": "1"}
    body = {"labels": told, "labelFingerprint": image["labelFingerprint"]}
    compute.call("POST", f"global/images/{image['name']}/setLabels", json=body)
    with pytest.raises(PermanentError, match=r"not promoted: .* its label base-image-id is 1, and"):
        run.try_("promote_image")
    assert "family" not in compute.image(image["name"])
    run.tear_down()


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_statements_that_somebody_else_has_left_there_stop_the_promotion() -> None:
    run = walk("manual__signed-planted")
    made = run.handed["create_image"]
    AttestationStore(ledger_url()).write(made["name"], made["id"], b"{}\n")
    with pytest.raises(PermanentError, match=r"not promoted: .* its statement cannot be read"):
        run.try_("promote_image")
    run.tear_down()


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_a_key_that_cannot_be_used_stops_the_promotion_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = walk("manual__signed-no-key")
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_SIGNING_KEY", f"file://{tmp_path}/gone.pem")
    with pytest.raises(PermanentError, match=r"gone\.pem does not exist: openssl genpkey"):
        run.try_("promote_image")
    assert not stored(run).exists()
    run.tear_down()


@pytest.mark.long
def test_a_builder_that_runs_again_for_a_promoted_image_leaves_its_sbom_as_it_was(
    compute: Compute,
) -> None:
    run = walk("manual__signed-again")
    run.through("promote_image", "promote_image")
    sbom = Path(urlsplit(ledger_url()).path) / f"manifests/{run.handed['create_image']['name']}"
    before = Path(f"{sbom}.spdx.json").stat().st_mtime_ns
    run.tear_down()
    run.clear("wait_for_shutdown", "create_image", "label_image", "smoke_test", "promote_image")
    run.through("promote_image", "wait_for_shutdown")
    assert Path(f"{sbom}.spdx.json").stat().st_mtime_ns == before
    assert compute.image(run.handed["create_image"]["name"])["family"] == "loaf"
    run.tear_down()
