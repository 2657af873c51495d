"""Every field of every trigger form: Airflow answers 400, or the run begins with a valid value."""

from __future__ import annotations

import json
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import ParamValidationError
from airflow.sdk.definitions.param import ParamsDict
from airflow.serialization.definitions.param import SerializedParam, SerializedParamsDict
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.paths import PROJECT

from bakehouse.bake.params import BakeParams
from bakehouse.core.errors import PermanentError
from bakehouse.dag_factory import bake_form, check_setup, finalise, housekeeping, revoke, rollout
from bakehouse.dag_factory.bake import bake_dag
from bakehouse.fleet.load import load_fleet
from bakehouse.housekeeping.params import HousekeepingParams, RevokeParams
from bakehouse.preflight.params import CheckSetupParams
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.model import Recipe
from bakehouse.rollout.params import FinaliseParams, RolloutParams

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Param

    from bakehouse.core.run_params import RunParams
    from bakehouse.operators.base import BakehouseOperator

WEB = load_recipe("base: debian-cloud/debian-12\nvars: {page: hello}\n", "web.yaml")
BY_NAME = "recipe: web\nmembers: {instances: [web-1, web-2], zones: [us-central1-a]}\n"
BY_LABELS = "recipe: web\nmembers: {labels: {fleet: web}, zones: [us-central1-a]}\n"
FORMS: dict[str, tuple[dict[str, Param], type[RunParams]]] = {
    "bake": (bake_form.form(WEB), BakeParams),
    "rollout": (rollout._form(load_fleet(BY_NAME, "web.yaml")), RolloutParams),
    "rollout_by_labels": (rollout._form(load_fleet(BY_LABELS, "web.yaml")), RolloutParams),
    "finalise": (finalise._form(), FinaliseParams),
    "housekeeping": (housekeeping._form(PROJECT / "include"), HousekeepingParams),
    "revoke": (revoke._form(), RevokeParams),
    "check_setup": (check_setup._form(), CheckSetupParams),
}
FIELDS = [(form, field) for form, (fields, _) in FORMS.items() for field in fields]
FILLED = {"revoke": {"image": "web-1", "why": "CVE-2026-1"}}  # the fields without a default

TEXT = st.text(max_size=30) | st.sampled_from(
    [
        "",
        " ",
        "main\n",
        "web-1\n",
        "a\x00b",
        "\ud800",
        "../x",
        "2026-W47-2",
        "20261120",
        "HEAD",
        "-x",
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["page", "web-1"]) | TEXT, inner, max_size=3)
    ),
    max_leaves=6,
)


RECIPES = (
    "vars: {}\n",
    "vars: {page: hello, port: 8080, quick: true, Ratio_2: 1.5}\n",
    "builder: {spot: true, keep_builder_on_failure: 3d, zones: [europe-west1-b]}\n",
    "image: {kind: machine_image}\n",
)


@pytest.mark.parametrize("text", RECIPES)
def test_a_scheduled_bake_takes_the_form_as_it_is(text: str) -> None:
    # a parse adds the form to the DAG's params without a check of schemas and defaults
    dag = bake_dag(
        load_recipe(f"base: debian-cloud/debian-12\nschedule: 0 3 * * *\n{text}", "a.yaml")
    )
    assert set(dag.params.validate()) == set(dag.params) == set(bake_form.form(WEB))


def test_every_other_form_with_a_default_for_each_field_is_valid_as_it_is() -> None:
    for name, (fields, _) in FORMS.items():
        if name not in FILLED:
            assert set(ParamsDict(fields).validate()) == set(fields), name


def answered(form: str, conf: dict[str, Any]) -> dict[str, Any]:
    """What Airflow's API server makes of a form and a run's `conf`. Raises ParamValidationError."""
    fields = ParamsDict(FORMS[form][0])
    server = SerializedParamsDict(
        {
            name: SerializedParam(p.value, p.description, "dag", **p.schema)
            for name, p in ((name, fields.get_param(name)) for name in fields)
        }
    )
    return dict(server.deep_merge({**FILLED.get(form, {}), **conf}).validate())


def check_usable(found: RunParams) -> None:
    """Nothing that git, Compute Engine, a shell or the ledger would not take."""
    text = json.dumps(found.model_dump(mode="json"), allow_nan=False, ensure_ascii=False)
    text.encode()  # no surrogates
    assert "\\u0000" not in text
    if isinstance(found, BakeParams):
        assert found.zones(WEB)
        assert found.wants_spot(WEB) in {True, False}
        assert not any(ord(character) < 33 for character in found.git_ref)
        assert found.snapshot_date is None or isinstance(found.snapshot_date, date)
        Recipe.model_validate({**WEB.model_dump(mode="json"), "vars": {**WEB.vars, **found.vars}})
    if isinstance(found, RevokeParams):
        assert found.why.strip()


@pytest.mark.parametrize(("form", "field"), FIELDS)
@settings(max_examples=150, deadline=None)
@given(value=ANY_JSON)
@example(value={"page": float("nan")})
@example(value={"page": float("inf")})
@example(value={"page": "a\x00b"})
@example(value={"page": 10**400})
@example(value=["web-1", "web-1"])
@example(value=["web-1", 7])
@example(value="2026-02-30")
@example(value="0000-01-01")
@example(value="20261120")
@example(value="main\n")
@example(value="x" * 10_000)
def test_any_value_is_refused_by_airflow_or_begins_a_run(form: str, field: str, value: Any) -> None:
    try:
        params = answered(form, {field: value})
    except ParamValidationError:
        return
    check_usable(FORMS[form][1].of_run(params, {field: value}))


@pytest.mark.parametrize(
    ("form", "conf"),
    [
        ("bake", {"snapshot_date": "20261120"}),
        ("bake", {"snapshot_date": "2026-W47-5"}),
        ("bake", {"git_ref": "main\n"}),
        ("bake", {"git_ref": "ma\x00in"}),
        ("bake", {"git_ref": "\ud800"}),
        ("bake", {"vars": {"page": "a\x00b"}}),
        ("bake", {"vars": {"page": 2**63}}),
        ("bake", {"vars": {"page": float("nan")}}),
        ("bake", {"vars": ["page"]}),
        ("bake", {"spot": "maybe"}),
        ("rollout", {"image": "../web"}),
        ("rollout", {"image": "web-1\n"}),
        ("rollout", {"image": 7}),
        ("rollout", {"metadata": {"color": "a\x00b"}}),
        ("rollout", {"metadata": {"color": 7}}),
        ("rollout", {"metadata": {"a b": "blue"}}),
        ("rollout", {"metadata": {"bakehouse-role": "builder"}}),
        ("rollout", {"metadata": {"enable-guest-attributes": None}}),
        ("rollout", {"metadata": "color=blue"}),
        ("rollout", {"members": "web-1"}),
        ("rollout", {"members": ["web-3"]}),
        ("rollout", {"members": {"web-1": 1}}),
        ("rollout_by_labels", {"members": [{}]}),
        ("rollout_by_labels", {"members": ["web 1"]}),
        ("rollout_by_labels", {"members": ["a/../b"]}),
        ("housekeeping", {"dry_run": "no"}),
        ("housekeeping", {"dry_run": 0}),
        ("housekeeping", {"recipe": "wbe"}),
        ("revoke", {"image": ""}),
        ("revoke", {"image": "a/b"}),
        ("revoke", {"image": ["a"]}),
        ("revoke", {"why": "   "}),
        ("revoke", {"why": "\x00\x00\x00"}),
        ("revoke", {"why": "one\ntwo"}),
    ],
)
def test_a_value_that_no_task_could_use_is_answered_with_400(
    form: str, conf: dict[str, Any]
) -> None:
    with pytest.raises(ParamValidationError, match=next(iter(conf))):
        answered(form, conf)


@pytest.mark.parametrize("form", FORMS)
def test_the_fields_of_a_form_are_those_of_its_model(form: str) -> None:
    fields, model = FORMS[form]
    assert set(fields) == set(model.model_fields)
    for name, param in fields.items():
        bounds = {"pattern", "enum", "format", "properties", "patternProperties", "items"} & set(
            param.schema
        )
        assert bounds or param.schema["type"] == "boolean", name
    model.of_run(answered(form, {}))


@pytest.mark.parametrize("form", FORMS)
def test_unknown_keys_of_conf_are_refused_with_those_that_are_known(form: str) -> None:
    model = FORMS[form][1]
    conf = {"gitref": "main", "forse": True}
    told = r"unknown keys: 'forse'.*, 'gitref'.* may be " + ", ".join(model.model_fields)
    with pytest.raises(PermanentError, match=told):
        model.of_run(answered(form, conf), conf)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ("bake", "git_ref"),
        ("bake", "snapshot_date"),
        ("rollout", "image"),
        ("rollout", "members"),
        ("rollout_by_labels", "members"),
        ("housekeeping", "recipe"),
    ],
)
def test_a_field_that_may_stay_empty_may_be_emptied_in_the_browser(form: str, field: str) -> None:
    """The page sends null for a field that somebody has emptied, and for a list without values."""
    fields, model = FORMS[form]
    assert "null" in fields[field].schema["type"]
    given = {field: None}
    usual = model.of_run(answered(form, {}), {})
    assert model.of_run(answered(form, given), given) == usual


@pytest.mark.parametrize(("form", "empty"), [("rollout", {"image": "", "members": []})])
def test_an_empty_value_is_none(form: str, empty: dict[str, Any]) -> None:
    model = FORMS[form][1]
    assert model.of_run(answered(form, empty), empty) == model.of_run(answered(form, {}), {})


def test_the_image_is_chosen_from_a_list_or_typed() -> None:
    fleet = load_fleet(BY_NAME, "web.yaml")
    field = rollout._form(fleet, ["web-2", "web-1"])["image"]
    assert field.schema["examples"] == ["web-2", "web-1"]
    assert "enum" not in field.schema
    assert "examples" not in rollout._form(fleet)["image"].schema
    assert revoke._form(["web-2"])["image"].schema["examples"] == ["web-2"]


def test_params_of_a_run_that_no_form_has_checked_are_refused_for_good() -> None:
    with pytest.raises(PermanentError, match=r"spot .*'maybe'.*; snapshot_date .*\(it is 'soon'\)"):
        BakeParams.of_run({"spot": "maybe", "snapshot_date": "soon"})


def first_tasks() -> dict[str, Callable[[Any], Any]]:
    from datetime import timedelta

    from bakehouse.bake.plan_operators import ResolveCommit
    from bakehouse.housekeeping.compact_operator import CompactLedger
    from bakehouse.housekeeping.drift_operator import ShowDrift
    from bakehouse.housekeeping.fixes_operator import FindMissingFixes
    from bakehouse.housekeeping.retire_operators import PlanRetire
    from bakehouse.housekeeping.revoke_operators import FindImage
    from bakehouse.housekeeping.sweep_operators import PlanSweep
    from bakehouse.preflight.operators import CheckSetup
    from bakehouse.rollout.operators import ChooseImage

    sla, include = timedelta(hours=1), str(PROJECT / "include")
    fleet = load_fleet(BY_NAME, "web.yaml")
    operators: dict[str, list[BakehouseOperator]] = {
        "bake__web": [ResolveCommit(task_id="resolve_commit", recipe="web", sla=sla)],
        "roll_out__web": [ChooseImage(task_id="choose_image", fleet=fleet, sla=sla)],
        "revoke": [FindImage(task_id="find_image", include=include, sla=sla)],
        "check_setup": [CheckSetup(task_id="check_setup", include=include, sla=sla)],
        "housekeeping": [
            PlanSweep(task_id="plan_sweep", include=include, sla=sla),
            PlanRetire(task_id="plan_retire", include=include, sla=sla),
            ShowDrift(task_id="show_drift", include=include, sla=sla),
            FindMissingFixes(task_id="find_missing_fixes", include=include, sla=sla),
            CompactLedger(task_id="compact_ledger", include=include, sla=sla),
        ],
    }
    return {
        f"{dag_id}:{type(one).__name__}": one.reconcile
        for dag_id, tasks in operators.items()
        for one in tasks
    }


@pytest.mark.parametrize("task", first_tasks())
def test_the_first_task_refuses_unknown_keys_before_it_asks_anybody(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object) -> None:
        raise AssertionError("a call")

    # of the class: a module that is imported meanwhile would keep another hook_of
    monkeypatch.setattr("bakehouse.cloud.calls.Calls._run", nobody)
    params = {"image": "web-1", "why": "a reason", "roll_out": True}
    run = SimpleNamespace(conf={"wrong": 1}, run_type="manual")
    ti = SimpleNamespace(dag_id=task.partition(":")[0], run_id="r", try_number=1)
    with pytest.raises(PermanentError, match=r"unknown keys: 'wrong'"):
        first_tasks()[task]({"params": params, "dag_run": run, "ti": ti})
