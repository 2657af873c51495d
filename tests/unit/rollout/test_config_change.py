"""A change of metadata: what changes, the way back, and what a log may show of it."""

from __future__ import annotations

from typing import Any

import pytest

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.guest.config_changes import diff, hidden, looks_secret, secrets_of
from bakehouse.rollout.config_change import (
    PINNED,
    MetadataChange,
    change_of,
    is_set,
    pinned_by,
    with_values,
)
from bakehouse.rollout.health import Health
from bakehouse.rollout.params import RolloutParams
from bakehouse.rollout.plan import BootDisk, Member, Target
from bakehouse.rollout.planner import plan
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.strategies.swap import forward, is_under_way, moving

WANTED = {"color": "blue", "db-password": "n3w", "gone": None}


def instance(**values: str) -> dict[str, Any]:
    items = [{"key": key.replace("_", "-"), "value": value} for key, value in values.items()]
    return {"id": "7", "name": "web-1", "metadata": {"fingerprint": "f", "items": items}}


def test_only_what_differs_changes_and_the_way_back_is_what_was_there() -> None:
    was = instance(color="red", db_password="old", gone="x", other="y")
    change = change_of(was, WANTED)
    assert change is not None
    assert change.before == {"color": "red", "db-password": "old", "gone": "x"}
    assert change.after == WANTED
    assert change.back.after == change.before
    now = {**was, "metadata": with_values(was["metadata"], change.after)}
    assert {i["key"]: i["value"] for i in now["metadata"]["items"]} == {
        "other": "y",
        "color": "blue",
        "db-password": "n3w",
    }
    assert change_of(now, WANTED) is None
    assert (is_set(now, change.after), is_set(was, change.after)) == (True, False)
    again = {**now, "metadata": with_values(now["metadata"], change.before)}
    assert is_set(again, change.before)


def after(was: dict[str, Any], values: dict[str, str | None]) -> dict[str, Any]:
    return {**was, "metadata": with_values(was["metadata"], values)}


def test_a_run_that_plans_again_goes_back_to_what_was_there_before_its_first_try() -> None:
    was = instance(color="red", db_password="old", gone="x", other="y")
    change = change_of(was, WANTED, "run-1")
    assert change is not None
    assert not change.begun
    now = after(was, change.values("run-1", "forward"))
    again = change_of(now, WANTED, "run-1")
    assert again is not None
    assert again.begun
    assert (again.before, again.after) == (change.before, change.after)
    assert change_of(now, WANTED, "run-2") is None, "another run's way back is what is there now"
    edited = change_of(now, {"color": "green"}, "run-1")
    assert edited is not None
    assert (edited.before, edited.after["color"]) == (change.before, "green")
    assert edited.after["db-password"] == "n3w", "what the first try has set and nobody wants away"


def test_the_way_back_takes_its_pin_away() -> None:
    was = instance(color="red", db_password="old", gone="x")
    change = change_of(was, WANTED, "run-1")
    assert change is not None
    back = after(after(was, change.values("run-1", "forward")), change.back.values("run-1", "back"))
    assert {i["key"]: i["value"] for i in back["metadata"]["items"]} == change.before
    assert change_of(back, change.before, "run-1") is None


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"run": 1}', '{"run": "r", "before": 3}'])
def test_a_pin_that_is_none_pins_nothing(text: str) -> None:
    there = instance(color="red")
    there["metadata"]["items"].append({"key": PINNED, "value": text})
    assert pinned_by(there, "r") == {}


def test_a_log_shows_the_change_without_secrets() -> None:
    change = change_of(instance(color="red", db_password="old", gone="x"), WANTED)
    assert change is not None
    assert change.diff == [
        "-color=red",
        "+color=blue",
        "-db-password=***",
        "+db-password=***",
        "-gone=x",
    ]


@pytest.mark.parametrize(
    ("key", "is_secret"),
    [
        ("db-password", True),
        ("api-token", True),
        ("apiKey", True),
        ("tls_key", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("passphrase", True),
        ("pgpass", True),
        ("credentials", True),
        ("session-cookie", True),
        ("color", False),
        ("keyboard", False),
        ("monkey", False),
        ("passenger", False),
        ("author", False),
    ],
)
def test_which_keys_look_secret(key: str, is_secret: bool) -> None:
    assert looks_secret(key) is is_secret


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password = hunter2", "password = ***"),
        ('  "password": "hunter2",', '  "password": ***'),
        ("requirepass hunter2", "requirepass ***"),
        ("url=postgres://app:hunter2@db/x", "url=postgres://app:***@db/x"),
        ("listen 8080", "listen 8080"),
        ("the value is s3cret-value here", "the value is *** here"),
        ("encoded czNjcmV0LXZhbHVl", "encoded ***"),
        ("q=a%20b%26c", "q=***"),
        ("greeting=hello", "greeting=hello"),
    ],
)
def test_a_line_of_a_file_is_shown_without_what_is_secret(line: str, shown: str) -> None:
    secrets = secrets_of({"db-secret": "s3cret-value", "other-token": "a b&c", "color": "hello"})
    assert hidden(line, secrets) == shown


def test_a_private_key_and_what_is_no_text_are_not_shown() -> None:
    begin, end = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    old, new = (f"{begin}\n{text}\n{end}\nport=1\n".encode() for text in ("AAAA", "BBBB"))
    told = "\n".join(diff("/etc/key", old, new.replace(b"port=1", b"port=2"), []))
    assert "AAAA" not in told
    assert "BBBB" not in told
    assert "+port=2" in told
    assert diff("/etc/db", b"\xff", b"\xfe", [])[-1] == "(it is no text)"


IMAGE = Target(id="9", name="web-9", self_link="global/images/web-9", recipe="web")
DISK = BootDisk(
    name="web-1",
    image_id="5",
    image="global/images/web-5",
    device_name="d",
    auto_delete=True,
    type="pd",
    size_gb=10,
)


def member(**fields: Any) -> Member:
    given = {"name": "web-1", "zone": "z", "id": "7", "status": "RUNNING", "boot": DISK}
    change = MetadataChange(before={"color": "red"}, after={"color": "blue"})
    return Member.model_validate(
        {**given, "strategy": Strategy.RENDER, "metadata": change, **fields}
    )


def test_a_member_keeps_its_disk_and_its_image() -> None:
    made = plan("web", "run", IMAGE, ["100%"], [member()], {})
    (change,) = made.changes
    assert made.is_config
    assert (change.disk, change.second_disk, change.old.name) == ("web-1", "", "web-1")
    swap = forward(made, change, Health("healthy", "web-5", "b1", orders=frozenset({"render"})))
    assert (swap.image.name, swap.disk, swap.kept, swap.before) == ("web-5", "web-1", True, None)
    assert moving(swap) == "web-1 gets other metadata: color"
    assert is_under_way(swap, instance(color="blue"))
    assert not is_under_way(swap, instance(color="red"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"metadata": None}, Reason.METADATA_AS_WANTED),
        ({"status": "TERMINATED"}, Reason.MEMBER_NOT_RUNNING),
        ({"refused": Reason.CANNOT_RENDER}, Reason.CANNOT_RENDER),
        ({"refused": Reason.MEMBER_ON_HOLD}, Reason.MEMBER_ON_HOLD),
    ],
)
def test_who_is_left_as_it_is_has_a_reason(fields: dict[str, Any], reason: Reason) -> None:
    made = plan("web", "run", IMAGE, ["100%"], [member(**fields)], {})
    assert [skipped.reason for skipped in made.skipped] == [reason]
    assert made.changes == ()


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"bakehouse-order": "x"}, "is set by Bakehouse"),
        ({"enable-guest-attributes": "FALSE"}, "is set by Bakehouse"),
        ({"a b": "x"}, "is not a name"),
        ({"color": 7}, "is not a text"),
        ({"color": "x" * 262_145}, "262,144"),
    ],
)
def test_metadata_of_the_form_that_are_not_valid_are_named(
    metadata: dict[str, Any], told: str
) -> None:
    with pytest.raises(PermanentError, match=told):
        RolloutParams.of_run({"metadata": metadata})


def test_a_form_without_metadata_changes_none() -> None:
    assert RolloutParams.of_run({"metadata": None}).metadata == {}
    assert RolloutParams.of_run({"metadata": {"color": None}}).metadata == {"color": None}
