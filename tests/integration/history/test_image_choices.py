"""The images that forms offer: what tasks leave in the Variable, and what a parse makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bakehouse.history import image_choices
from bakehouse.history.image_choices import choices_of, offer, offered_images, withdraw


def image(name: str, day: int, state: str = "promoted", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "id": str(day),
        "status": "READY",
        "creationTimestamp": f"2026-11-{day:02d}T03:00:00.000+00:00",
        "labels": {"bakehouse-recipe": "web", "bakehouse-state": state},
        **more,
    }


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Airflow's Variables, as a task sees them."""
    held: dict[str, str] = {}

    class Variable:
        @staticmethod
        def get(key: str, default: str) -> str:
            return held.get(key, default)

        @staticmethod
        def set(key: str, value: str) -> None:
            held[key] = value

    monkeypatch.setattr("airflow.sdk.Variable", Variable)
    return held


def test_offered_are_the_images_that_a_rollout_takes_newest_first() -> None:
    found = [
        image("web-1", 1),
        image("web-3", 3),
        image("web-2", 2, "history"),
        image("web-4", 4, "candidate"),
        image("web-5", 5, "revoked"),
        image("web-6", 6, deprecated={"state": "OBSOLETE"}),
    ]
    assert choices_of(found) == ["web-3", "web-2", "web-1"]


def test_a_long_history_offers_its_newest_images() -> None:
    found = choices_of(image(f"web-{day}", day) for day in range(1, 29))
    assert found == [f"web-{day}" for day in range(28, 28 - image_choices.MOST, -1)]


@pytest.mark.usefixtures("variable")
def test_a_bake_replaces_the_names_of_its_recipe_only() -> None:
    offer("jre", [image("jre-1", 1)])
    offer("web", [image("web-1", 1)])
    offer("web", [image("web-2", 2)])
    assert offered_images() == {"jre": ["jre-1"], "web": ["web-2"]}


@pytest.mark.usefixtures("variable")
def test_images_that_are_gone_are_offered_no_more() -> None:
    offer("web", [image("web-1", 1), image("web-2", 2)])
    withdraw(["web-1", "unknown"])
    assert offered_images() == {"web": ["web-2"]}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"web": 7}', '{"web": null}'])
def test_a_variable_that_somebody_has_spoilt_offers_nothing(
    variable: dict[str, str], text: str
) -> None:
    variable[image_choices.VARIABLE] = text
    assert offered_images() == {}
    offer("web", [image("web-1", 1)])
    assert json.loads(variable[image_choices.VARIABLE]) == {"web": ["web-1"]}


def test_a_parse_without_airflow_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable:
        @staticmethod
        def get(*_: object, **__: object) -> str:
            raise RuntimeError("no supervisor")

    monkeypatch.setattr("airflow.sdk.Variable", Unreachable)
    assert offered_images() == {}


def test_a_variable_that_cannot_be_written_fails_no_promotion(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class ReadOnly:
        @staticmethod
        def get(_: str, default: str) -> str:
            return default

        @staticmethod
        def set(*_: str) -> None:
            raise PermissionError("Variables are read only")

    monkeypatch.setattr("airflow.sdk.Variable", ReadOnly)
    offer("web", [image("web-1", 1)])
    assert "Variables are read only" in caplog.text
