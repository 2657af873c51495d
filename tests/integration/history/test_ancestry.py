"""What an image stands on, and what stands on it, from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.paths import PROJECT
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.history.ancestry import bakes_of, chain, descendants
from bakehouse.history.ledger import Event, Ledger

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


def bake(image: str, base: str, hours: int = 0) -> Event:
    return Event(
        kind="bake",
        time=NOW + timedelta(hours=hours),
        dag_id="bake__x",
        run_id=f"manual__{image}",
        task_id="create_image",
        recipe=image.split("-", maxsplit=1)[0],
        image=image,
        git_sha="c0ffee0" + "0" * 33,
        detail={"base_image": base},
    )


LAYERS = [bake("jre-1", "debian-12"), bake("kafka-1", "jre-1", 1), bake("connect-1", "kafka-1", 2)]
LAYERS += [bake("zoo-1", "jre-1", 3), bake("jre-2", "debian-12", 4)]


def test_down_to_what_nobody_baked_here_and_up_to_the_last_layer() -> None:
    bakes = bakes_of(LAYERS)
    assert chain("connect-1", bakes) == ["connect-1", "kafka-1", "jre-1", "debian-12"]
    assert list(descendants("jre-1", bakes)) == ["kafka-1", "connect-1", "zoo-1"]
    assert list(descendants("jre-2", bakes)) == []


def test_a_ledger_that_goes_in_a_circle_ends() -> None:
    assert chain("a", bakes_of([bake("a", "b"), bake("b", "a")])) == ["a", "b"]


@pytest.mark.parametrize(("image", "code"), [("kafka-1", 0), ("nobody-1", 1)])
def test_the_same_from_a_shell(tmp_path: Path, image: str, code: int) -> None:
    ledger = Ledger(f"file://{tmp_path}")
    for event in LAYERS:
        ledger.write(event)
    command = ["ancestry", image, "--ledger", f"file://{tmp_path}", "--project", str(PROJECT)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == code
    if code:
        assert "knows no bake of nobody-1" in done.stderr
        return
    assert done.stdout.splitlines() == [
        "kafka-1 (recipe kafka, commit c0ffee0, 2026-11-25)",
        "  jre-1 (recipe jre, commit c0ffee0, 2026-11-25)",
        "    debian-12 (not baked here)",
        "built on it:",
        "  connect-1 (recipe connect, commit c0ffee0, 2026-11-25)",
    ]
