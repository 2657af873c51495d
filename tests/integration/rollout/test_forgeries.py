"""A rollout refuses an image that is not the one that was signed, before the first stop."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.flow.fleet import ZONE
from tests.integration.bake.walk import Walk
from tests.support.deadlines import SOON
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.config.new_project import write_project
from bakehouse.core.errors import PermanentError
from bakehouse.fleet.load import load_fleet
from bakehouse.history.key_file import make_key
from bakehouse.history.location import ledger_url
from bakehouse.rollout.plan import RolloutPlan
from devstack.waiting import wait_until

from .walk import Rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.flow.fleet import Members
    from typer.testing import Result

    from devstack.gce_api import Compute

    from .conftest import Images

FLEET = f"recipe: web\nmembers: {{instances: [web-1, web-2], zones: [{ZONE}]}}\nstages: [1, 100%]\n"
UNSIGNED = "AIRFLOW_VAR_BAKEHOUSE_UNSIGNED_IMAGES"


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UNSIGNED, "refuse")
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "of the tests")  # else the command leaves one


def ledger() -> Path:
    return Path(str(urlsplit(ledger_url()).path))


def statements_of(image: dict[str, Any]) -> Path:
    return ledger().joinpath("attestations", image["name"], f"{image['id']}.intoto.jsonl")


@contextmanager
def changed(file: Path, old: str, new: str) -> Generator[None]:
    before = file.read_bytes()
    assert old.encode() in before
    file.write_bytes(before.replace(old.encode(), new.encode(), 1))
    try:
        yield
    finally:
        file.write_bytes(before)


@contextmanager
def without(file: Path) -> Generator[None]:
    aside = file.with_suffix(".aside")
    file.rename(aside)
    try:
        yield
    finally:
        aside.rename(file)


@contextmanager
def labelled(compute: Compute, name: str, **labels: str) -> Generator[None]:
    def label(wanted: dict[str, str]) -> None:
        known = compute.image(name)
        body = {
            "labels": {**known["labels"], **wanted},
            "labelFingerprint": known["labelFingerprint"],
        }
        compute.call("POST", f"global/images/{name}/setLabels", json=body)

    wanted = {key.replace("_", "-"): value for key, value in labels.items()}
    before = {key: compute.image(name)["labels"][key] for key in wanted}
    label(wanted)
    try:
        yield
    finally:
        label(before)


def forged_label(compute: Compute, image: dict[str, Any]) -> Any:
    return labelled(compute, image["name"], git_sha="b" * 40)


def edited_record(_: Compute, image: dict[str, Any]) -> Any:
    (record,) = [
        file
        for file in (ledger() / "events").rglob("*-bake-*.json")
        if json.loads(file.read_text())["image"] == image["name"]
    ]
    return changed(record, '"base_image_id": "', '"base_image_id": "9')


def edited_sbom(_: Compute, image: dict[str, Any]) -> Any:
    return changed(ledger() / "manifests" / f"{image['name']}.spdx.json", "nginx", "nginy")


def edited_statement(_: Compute, image: dict[str, Any]) -> Any:
    return changed(statements_of(image), '"payload": "ey', '"payload": "ez')


def missing_statement(_: Compute, image: dict[str, Any]) -> Any:
    return without(statements_of(image))


@contextmanager
def another_key(_: Compute, __: dict[str, Any]) -> Generator[None]:
    """Our key is exchanged, and the Variable does not know the one before."""
    file = ledger().parent / "bakehouse" / "signing-key.pem"
    with without(file):
        make_key(file)
        try:
            yield
        finally:
            file.unlink()


FORGERIES: dict[str, tuple[Callable[[Compute, dict[str, Any]], Any], str]] = {
    "a forged label": (forged_label, f"its label git-sha is {'b' * 40}, and "),
    "an edited record of the ledger": (edited_record, "of the ledger was edited"),
    "an edited manifest": (edited_sbom, ".spdx.json of the ledger was edited"),
    "an edited statement": (edited_statement, "it was changed"),
    "a missing statement": (missing_statement, "it has no signed statements"),
    "another key": (another_key, "which is not trusted"),
}


def rollout(image: str, run_id: str) -> Rollout:
    return Rollout(load_fleet(FLEET, "fleets/web.yaml"), run_id, image)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "project")
    return tmp_path / "project"


def verify(image: str, project: Path) -> Result:
    """`bakehouse verify`."""
    given = ("verify", image, "--project", str(project), "--ledger", ledger_url())
    return CliRunner().invoke(app, given)


@pytest.mark.parametrize(
    ("name", "given"),
    [*((name, "by name") for name in FORGERIES), ("a forged label", "as the newest")],
)
def test_a_forged_image_is_refused_before_the_first_stop(
    compute: Compute, fleet_of: Members, images: Images, project: Path, name: str, given: str
) -> None:
    forge, words = FORGERIES[name]
    fleet_of.create(images.old, ["web-1", "web-2"])
    began = compute.call("GET", f"zones/{ZONE}/instances/web-1")["lastStartTimestamp"]
    image = compute.image(images.new)
    run = rollout(images.new if given == "by name" else "", f"manual__{name}-{given}")
    with forge(compute, image):
        run.begin()
        told = verify(images.new, project)
    error = str(run.errors["choose_image"])
    assert f"{images.new} is refused: " in error
    assert words in error
    assert "Nothing was changed" in error
    assert run.states["choose_image"] == "failed"
    assert compute.call("GET", f"zones/{ZONE}/instances/web-1")["lastStartTimestamp"] == began
    assert told.exit_code == 1
    assert words in told.output
    assert f"{images.new} is refused: " in told.output
    assert verify(images.new, project).exit_code == 0


@pytest.mark.long
def test_an_image_made_again_under_its_name_is_refused(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    run = Walk("web", "manual__again-under-its-name", vars={"page": "new"}, force=True)
    run.through("promote_image")
    run.tear_down()
    name = str(run.handed["plan_bake"]["image_name"])
    first = compute.image(name)
    compute.call("DELETE", f"global/images/{name}")
    wait_until(lambda: name not in {i["name"] for i in compute.images()}, SOON, "its deletion", 0.1)
    body = {"name": name, "labels": first["labels"], "sourceImage": f"global/images/{images.old}"}
    compute.call("POST", "global/images", json=body)
    wait_until(lambda: compute.image(name)["status"] == "READY", SOON, "the copy", 0.1)
    try:
        fleet_of.create(images.old, ["web-1", "web-2"])
        again = rollout(name, "manual__copied")
        again.begin()
        error = str(again.errors["choose_image"])
        assert f"the image of this name that was signed has the id {first['id']}" in error
        assert "somebody has made it again under its name" in error
    finally:
        compute.call("DELETE", f"global/images/{name}")


def test_an_image_from_before_the_signatures_is_rolled_out_and_said_to_be_unsigned(
    compute: Compute,
    fleet_of: Members,
    images: Images,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(UNSIGNED, "2999-01-01")
    fleet_of.create(images.old, ["web-1", "web-2"])
    with without(statements_of(compute.image(images.new))):
        run = rollout(images.new, "manual__unsigned")
        assert run.through() == "success"
        told = verify(images.new, project)
    assert told.exit_code == 3
    assert "is unsigned: it is not signed, and it was made before 2999-01-01" in told.output


def test_the_plan_says_that_a_forged_image_is_no_way_back(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, ["web-1", "web-2"])
    run = rollout(images.new, "manual__way-back")
    with labelled(compute, images.old, content_key="0" * 40):
        run.begin()
    made = RolloutPlan.model_validate(run.xcom("plan"))
    for change in made.changes:
        assert (
            f"its image {images.old} is refused: its label content-key is 0000" in change.only_disk
        )


def test_a_rollout_that_waited_asks_again(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, ["web-1", "web-2"])
    run = rollout(images.new, "manual__waited")
    run._task("choose_image", image=images.new)
    run._task("acquire_lease")
    with labelled(compute, images.new, git_sha="b" * 40):
        run._task("plan")
    assert isinstance(run.errors["plan"], PermanentError)
    assert f"its label git-sha is {'b' * 40}" in str(run.errors["plan"])


def test_an_image_that_does_not_exist_cannot_be_checked(images: Images, project: Path) -> None:
    told = verify(f"{images.new}x", project)
    assert told.exit_code == 2
    assert f"no custom image {images.new}x exists" in told.output
