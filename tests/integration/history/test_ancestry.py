"""What an image stands on, and what stands on it, from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.core.reasons import Reason
from bakehouse.history.ancestry import bakes_by_image, base_images, descendants
from bakehouse.history.bake_events import BakeDetail, BakeEvent, CommitRecord
from bakehouse.history.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)

COMMIT = CommitRecord(
    sha="c0ffee0" + "0" * 33, ref="HEAD", subject="A page", author_time=NOW, author="Jo <j@x.org>"
)


def bake(image: str, base: str, hours: int = 0) -> BakeEvent:
    return BakeEvent(
        time=NOW + timedelta(hours=hours),
        dag_id="bake__x",
        run_id=f"manual__{image}",
        task_id="create_image",
        recipe=image.split("-", maxsplit=1)[0],
        image=image,
        git_sha=COMMIT.sha,
        reason=Reason.FORCED,
        detail=BakeDetail(
            image_id="1",
            content_key="c" * 40,
            base_image=base,
            builder="bake-x-1",
            seconds=60,
            commit=COMMIT,
        ),
    )


LAYERS = [bake("jre-1", "debian-12"), bake("kafka-1", "jre-1", 1), bake("connect-1", "kafka-1", 2)]
LAYERS += [bake("zoo-1", "jre-1", 3), bake("jre-2", "debian-12", 4)]


def test_down_to_what_nobody_baked_here_and_up_to_the_last_layer() -> None:
    bakes = bakes_by_image(LAYERS)
    assert base_images("connect-1", bakes) == ["connect-1", "kafka-1", "jre-1", "debian-12"]
    assert list(descendants("jre-1", bakes)) == ["kafka-1", "connect-1", "zoo-1"]
    assert list(descendants("jre-2", bakes)) == []


def test_a_ledger_that_goes_in_a_circle_ends() -> None:
    assert base_images("a", bakes_by_image([bake("a", "b"), bake("b", "a")])) == ["a", "b"]


@pytest.mark.parametrize(("image", "code"), [("kafka-1", 0), ("nobody-1", 1)])
def test_the_same_from_a_shell(tmp_path: Path, image: str, code: int) -> None:
    ledger = Ledger(f"file://{tmp_path}")
    for event in LAYERS:
        ledger.write(event)
    garbled = tmp_path / "events/2026/11/25/20261125T000000Z-bake-0.json"
    garbled.write_text("{")
    command = ["ancestry", image, "--ledger", f"file://{tmp_path}", "--project", str(PROJECT)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == code
    assert f"{garbled.name} is skipped: it is not JSON" in done.stderr
    if code:
        assert "has no bake of nobody-1" in done.stderr
        return
    assert done.stdout.splitlines() == [
        "kafka-1 (recipe kafka, commit c0ffee0, 2026-11-25 UTC)",
        "  jre-1 (recipe jre, commit c0ffee0, 2026-11-25 UTC)",
        "    debian-12 (no bake of it in this ledger)",
        "built on it:",
        "  connect-1 (recipe connect, commit c0ffee0, 2026-11-25 UTC)",
    ]
