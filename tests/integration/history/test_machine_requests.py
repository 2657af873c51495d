"""Which runs have asked for a machine, and when that is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bakehouse.history.machine_requests import MachineRequests
from bakehouse.images.names import run_label
from bakehouse.images.provenance import Provenance

if TYPE_CHECKING:
    from pathlib import Path

LATER = datetime.now(UTC) + timedelta(hours=1)  # when the runs below were due
EARLIER = datetime.now(UTC) - timedelta(hours=1)
DAG, RUN = "bake__web", "scheduled__2026-11-27"
LABEL = run_label(DAG, RUN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger" / "machines"


@pytest.fixture
def requests(folder: Path) -> MachineRequests:
    return MachineRequests(f"file://{folder.parent}")


def made_by(dag_id: str = DAG) -> Provenance:
    return Provenance(
        recipe="web",
        dag_id=dag_id,
        run_id=RUN,
        run=run_label(dag_id, RUN),
        git_sha="0" * 40,
        git_ref="HEAD",
        content_key="1" * 40,
        base_image_id="7",
    )


def test_a_run_without_a_record_has_asked_for_nothing(requests: MachineRequests) -> None:
    requests.record(made_by("bake__db"))
    assert requests.rule_out(LABEL, LATER)


def test_a_run_that_was_recorded_stays_so(requests: MachineRequests, folder: Path) -> None:
    for _ in range(2):
        requests.record(made_by())
        assert not requests.rule_out(LABEL, LATER)
    assert f"{DAG} {RUN}" in (folder / LABEL).read_text(encoding="utf-8"), "for a person"


def test_the_first_record_of_all_comes_after_the_moment_since_when_they_are_complete(
    requests: MachineRequests, folder: Path
) -> None:
    requests.record(made_by())
    since = datetime.fromisoformat((folder / "since").read_text(encoding="ascii"))
    assert EARLIER < since <= datetime.now(UTC)
    requests.record(made_by("bake__db"))
    assert since.isoformat() == (folder / "since").read_text(encoding="ascii")


def test_a_run_that_may_have_started_before_there_were_records_is_not_known(
    requests: MachineRequests, folder: Path
) -> None:
    assert not requests.rule_out(LABEL, EARLIER)
    since = datetime.fromisoformat((folder / "since").read_text(encoding="ascii"))
    assert not requests.rule_out(LABEL, since), "the clocks of two computers differ"
    assert requests.rule_out(LABEL, LATER)


def test_a_ledger_that_was_emptied_or_changed_proves_nothing_of_a_run_in_progress(
    requests: MachineRequests, folder: Path
) -> None:
    started = datetime.now(UTC)
    requests.record(made_by())
    for path in folder.iterdir():
        path.unlink()
    assert not requests.rule_out(LABEL, started)


@pytest.mark.parametrize("text", ["", "soon", "2026-11-27"])
def test_a_damaged_moment_proves_nothing(
    requests: MachineRequests, folder: Path, text: str
) -> None:
    folder.mkdir(parents=True)
    (folder / "since").write_text(text, encoding="ascii")
    assert not requests.rule_out(LABEL, LATER)


def test_a_record_that_cannot_be_read_is_one(requests: MachineRequests, folder: Path) -> None:
    requests.record(made_by("bake__db"))
    (folder / LABEL).mkdir()
    assert not requests.rule_out(LABEL, LATER)


def test_a_record_is_whole_or_not_there(
    requests: MachineRequests, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests.record(made_by("bake__db"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bakehouse.history.objects.os.link", killed)
        with pytest.raises(KeyboardInterrupt):
            requests.record(made_by())
    assert not (folder / LABEL).exists()
    assert requests.rule_out(LABEL, LATER)
