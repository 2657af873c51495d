"""What a run writes into what it makes is read back as that run, and as no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.images import labels
from bakehouse.images.names import run_label
from bakehouse.images.provenance import MakingRun, Provenance, run_that_made

DAG_IDS = st.text(st.characters(categories=("L", "N"), include_characters="_-."), min_size=1)
RUN_IDS = st.text(st.characters(codec="utf-8"), min_size=1)


def provenance(dag_id: str, run_id: str) -> Provenance:
    return Provenance(
        recipe="web",
        dag_id=dag_id,
        run_id=run_id,
        run=run_label(dag_id, run_id),
        git_sha="a" * 40,
        git_ref="main",
        content_key="k",
        base_image_id="7",
    )


@given(DAG_IDS, RUN_IDS)
def test_a_description_names_the_run_that_wrote_it(dag_id: str, run_id: str) -> None:
    made = provenance(dag_id, run_id)
    resource = {"description": made.made_by, "labels": {labels.RUN: made.run}}
    assert run_that_made(resource) == MakingRun(dag_id=dag_id, run_id=run_id)


def test_a_description_with_another_runs_label_names_nobody() -> None:
    made = provenance("bake__web", "manual__1")
    for told in ({}, None, {labels.RUN: run_label("bake__web", "manual__2")}):
        assert run_that_made({"description": made.made_by, "labels": told}) is None


@given(st.text())
def test_a_description_that_anybody_wrote_names_nobody(text: str) -> None:
    assert run_that_made({"description": text, "labels": {labels.RUN: "0"}}) is None
    assert run_that_made({"description": f"made by a {text}", "labels": {labels.RUN: "0"}}) is None


def test_a_lone_surrogate_names_nobody() -> None:
    assert run_that_made({"description": "made by a \ud800", "labels": {labels.RUN: "0"}}) is None


def test_a_nonce_is_the_same_in_every_try_and_another_for_another_machine() -> None:
    made = provenance("bake__web", "manual__1")
    assert made.nonce("a") == made.nonce("a") != made.nonce("b")
    assert len(made.nonce("a")) == 32
