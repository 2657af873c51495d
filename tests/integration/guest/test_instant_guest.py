"""The instant guest keeps the contract that the scripts keep, and renders for real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import devstack
from bakehouse.history import manifest
from bakehouse.recipe.render import builder_metadata, smoke_metadata

from .conftest import NONCE, facts, rendered_app

if TYPE_CHECKING:
    from collections.abc import MutableMapping

# As localgce loads it: by path, without importing Bakehouse.
FILE = Path(str(devstack.__file__)).with_name("instant_guest.py")
boot = runpy.run_path(str(FILE))["boot"]
FILES = {
    "install.sh.j2": "true\n",
    "smoke_test.sh": "true\n",
    "templates/etc/app.conf.j2": "{{ greeting }} from {{ instance.name }} at {{ image.git_sha }}\n",
    "templates/etc/plain": "{{ as it is }}",
}


class PoweredOff(Exception):
    pass


class Over(Exception):
    """The time of a test is over."""


class FakeVm:
    name = "app-1"
    boot_id = "b001"

    def __init__(self, disk: MutableMapping[str, str], attributes: dict[str, str]) -> None:
        self.boot_disk = disk
        self.attributes = attributes
        self.text = ""
        self.written: dict[str, str] = {}
        self.slept = 0.0
        self.waited = 0
        self.permitted: dict[str, str] = {}
        self.refuse = False
        self.reports: list[dict[str, Any]] = []
        self.until = float("inf")

    def metadata(self) -> dict[str, Any]:
        return {"name": self.name, "attributes": self.attributes}

    def project_attributes(self) -> dict[str, str]:
        return {"greeting": "everybody's"} | self.permitted

    def serial(self, text: str) -> None:
        self.text += text

    async def metadata_changed(self) -> None:
        self.waited += 1
        await asyncio.sleep(0)
        self.permitted = {"go-on": "true"}

    async def guest_attribute(self, namespace: str, key: str, value: str) -> None:
        if self.refuse:
            raise OSError("denied")
        assert namespace == "bakehouse"
        self.written[key] = value
        if key == "health":
            self.reports.append(json.loads(value))

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await asyncio.sleep(0)
        if self.slept > self.until:
            raise Over

    async def power_off(self) -> None:
        raise PoweredOff

    @property
    def said(self) -> list[dict[str, Any]]:
        lines = [x for x in self.text.splitlines() if x.startswith("bakehouse ")]
        return [json.loads(line.removeprefix("bakehouse ")) for line in lines]


async def baked(files: dict[str, str] = FILES, refuse: bool = False, **variables: Any) -> FakeVm:
    rendered = rendered_app(files, vars=variables, services=["app"])
    vm = FakeVm({}, builder_metadata(rendered, facts(rendered), NONCE))
    vm.refuse = refuse
    with pytest.raises(PoweredOff):
        await boot(vm)
    return vm


async def smoked(builder: FakeVm, **metadata: str) -> FakeVm:
    rendered = rendered_app(FILES, smoke={"metadata": {"greeting": "hello", **metadata}})
    vm = FakeVm(dict(builder.boot_disk), smoke_metadata(rendered, NONCE))
    with pytest.raises(PoweredOff):
        await boot(vm)
    return vm


async def test_the_builder_keeps_the_contract() -> None:
    vm = await baked()
    assert vm.written["result"] == "ok"
    assert vm.said[-1] == {"nonce": NONCE, "result": "ok"}
    assert [x["stage"] for x in vm.said if "stage" in x] == ["boot", "install", "generalise"]
    assert (
        manifest.Package("libc6", "2.36", "amd64")
        in manifest.decode(vm.written["manifest"]).packages
    )
    assert json.loads(vm.boot_disk["etc/bakehouse/image.json"])["services"] == ["app"]


async def test_the_log_of_each_bake_and_each_smoke_test_says_that_nothing_is_checked() -> None:
    builder = await baked()
    smoke = await smoked(builder)
    for vm in (builder, smoke):
        assert (
            vm.text.count("installs nothing, and checks nothing but that templates render\n") == 1
        )


async def test_a_failing_install_says_so_twice() -> None:
    vm = await baked(instant_fail_install="no space left")
    assert vm.written["result"] == "failed"
    assert json.loads(vm.written["error"]) == vm.said[-1]["error"]
    assert vm.said[-1]["error"]["message"] == "no space left"


async def test_an_install_may_be_chatty() -> None:
    vm = await baked(instant_install_lines="250", instant_install_seconds="5")
    told = [line for line in vm.text.splitlines() if line.startswith("Setting up package")]
    assert told == [f"Setting up package {n} of 250" for n in range(1, 251)]
    assert vm.slept > 5


async def test_a_silent_builder_says_nothing() -> None:
    vm = await baked(instant_silent=True)
    assert "result" not in vm.written
    assert not [line for line in vm.said if "result" in line]


async def test_a_builder_without_payload_fails() -> None:
    vm = FakeVm({}, {"bakehouse-role": "builder", "bakehouse-nonce": NONCE})
    with pytest.raises(PoweredOff):
        await boot(vm)
    assert "no payload" in vm.said[-1]["error"]["message"]


async def test_refused_guest_attributes_leave_the_serial_line() -> None:
    vm = await baked(refuse=True)
    assert vm.written == {}
    assert vm.said[-1]["result"] == "ok"


async def test_a_builder_started_again_repeats_its_result() -> None:
    vm = await baked(instant_install_seconds=60)
    again = FakeVm(vm.boot_disk, vm.attributes)
    with pytest.raises(PoweredOff):
        await boot(again)
    assert (vm.slept > 60, again.slept) == (True, 0)
    assert again.said[-1]["result"] == "ok"


async def test_a_hanging_builder_stays() -> None:
    rendered = rendered_app(FILES, vars={"instant_hang": "install"})
    vm = FakeVm({}, builder_metadata(rendered, facts(rendered), NONCE))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(boot(vm), 0.05)
    assert vm.said[-1] == {"nonce": NONCE, "stage": "install"}


async def test_the_smoke_machine_renders_and_passes() -> None:
    vm = await smoked(await baked(), greeting="hello")
    assert vm.boot_disk["etc/app.conf"].startswith("hello from app-1 at c0ffee")
    assert vm.boot_disk["etc/plain"] == "{{ as it is }}"
    smoke = json.loads(vm.written["smoke"])
    assert (smoke["result"], smoke["error"]) == ("ok", None)
    assert {"nonce": NONCE, **smoke} == vm.said[-1]
    health = json.loads(vm.written["health"])
    assert (health["state"], health["boot_id"]) == ("healthy", "b001")


async def test_what_a_recipe_says_of_readiness_and_identity_is_taken_as_true() -> None:
    files = {**FILES, "check": "#!/bin/bash\nexit 1\n"}
    ready = {"tcp": 1, "script": "check", "min_ready": "20s"}
    image = {"remove_files": ["/etc/app.id"], "shared_files": ["/etc/app.key"]}
    rendered = rendered_app(files, services=["app", "kv"], ready=ready, image=image)
    vm = FakeVm({}, builder_metadata(rendered, facts(rendered), NONCE))
    with pytest.raises(PoweredOff):
        await boot(vm)
    smoke = await smoked(vm)
    assert json.loads(smoke.written["health"])["state"] == "healthy"
    assert json.loads(smoke.written["smoke"])["result"] == "ok"


async def test_an_undefined_name_is_unhealthy() -> None:
    files = {**FILES, "templates/etc/app.conf.j2": "\n{{ nothing }}"}
    vm = await smoked(await baked(files))
    assert json.loads(vm.written["health"])["detail"] == "etc/app.conf.j2:2: 'nothing' is undefined"
    smoke = json.loads(vm.written["smoke"])
    assert (smoke["result"], smoke["checks"]) == ("failed", [])
    assert "etc/app.conf" not in vm.boot_disk


async def test_a_reference_stands_for_a_secret_that_nobody_is_asked_for() -> None:
    vm = await smoked(await baked(), greeting="secret://greeting/3")
    assert vm.boot_disk["etc/app.conf"].startswith("secret greeting/3 from app-1")
    vm = await smoked(await baked(), greeting="secret://a/b/c")
    assert "metadata greeting: secret://a/b/c is malformed" in vm.written["health"]


async def test_a_failing_check_has_its_name() -> None:
    smoke = json.loads((await smoked(await baked(instant_fail_check="answers"))).written["smoke"])
    assert smoke["result"] == "failed"
    assert [c["name"] for c in smoke["checks"] if not c["ok"]] == ["answers"]


async def test_an_attribute_wins_over_the_images_vars() -> None:
    vm = await smoked(await baked(instant_unhealthy="x"), **{"instant-unhealthy": ""})
    assert json.loads(vm.written["health"])["state"] == "healthy"


async def test_a_plain_image_only_starts() -> None:
    vm = FakeVm({}, {})
    await boot(vm)
    assert (vm.written, vm.said) == ({}, [])


async def test_an_install_waits_until_the_project_has_the_attribute() -> None:
    waiting = await baked(instant_until="go-on", instant_install_lines=2)
    assert waiting.waited == 1
    assert (await baked(instant_until="")).waited == 0


async def member(period: str = "15s", until: float = 100.0, **knobs: str) -> list[dict[str, Any]]:
    """The reports of so many seconds of a member's life."""
    rendered = rendered_app(FILES, services=["app"], ready={"period": period})
    builder = FakeVm({}, builder_metadata(rendered, facts(rendered), NONCE))
    with pytest.raises(PoweredOff):
        await boot(builder)
    settings = {f"instant-{name}": value for name, value in knobs.items()}
    vm = FakeVm(builder.boot_disk, {"bakehouse-role": "member", **settings})
    vm.until = until
    with contextlib.suppress(Over):
        await boot(vm)
    return vm.reports


async def test_a_member_reports_again_and_again_as_its_timer_says() -> None:
    first, *others = await member()
    assert [report["period"] for report in (first, *others)] == [15.0] * 7
    assert first == {**others[0], "uptime": 0.2, "time": first["time"]}
    assert [report["uptime"] for report in others[:2]] == [15.2, 30.2]
    assert len(await member(period="30s")) == 4
    assert len(await member(report_seconds="10")) == 10


async def test_a_member_dies_and_recovers_when_its_settings_say() -> None:
    ill = [report["state"] for report in await member(ill_after="40")]
    assert ill == ["healthy"] * 3 + ["unhealthy"] * 4
    back = [report["state"] for report in await member(ill_after="40", ill_for="20")]
    assert back == ["healthy"] * 3 + ["unhealthy"] + ["healthy"] * 3


async def test_a_member_falls_silent_when_its_settings_say() -> None:
    assert len(await member(silent_after="40")) == 3


async def test_an_image_of_an_older_version_reports_once() -> None:
    (report,) = await member(reports="once")
    assert not {"time", "period", "uptime"} & report.keys()


async def ordered(*orders: dict[str, Any], **knobs: str) -> FakeVm:
    """A member to which orders were given, one after the other."""
    rendered = rendered_app(FILES, services=["app"], ready={"period": "15s"})
    builder = FakeVm({}, builder_metadata(rendered, facts(rendered), NONCE))
    with pytest.raises(PoweredOff):
        await boot(builder)
    settings = {f"instant-{name}": value for name, value in knobs.items()}
    vm = FakeVm(builder.boot_disk, {"bakehouse-role": "member", **settings})
    running = asyncio.ensure_future(boot(vm))
    for _ in range(50):
        await asyncio.sleep(0)
    for order in orders:
        changes = order.pop("metadata", {})
        given = {"nonce": NONCE, "boot_id": vm.boot_id, "limit": 30, **order}
        vm.attributes = {**vm.attributes, **changes, "bakehouse-order": json.dumps(given)}
        for _ in range(50):
            await asyncio.sleep(0)
    running.cancel()
    return vm


def answer(vm: FakeVm, order: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(vm.written[f"answer-{order}"])
    return told


async def test_an_instant_member_answers_as_the_service_of_the_image_does() -> None:
    vm = await ordered({"order": "gate"}, gate="leader: of 3\nall is well")
    assert vm.reports[0]["orders"] == ["health", "render", "gate"]
    assert answer(vm, "gate") == {
        "order": "gate",
        "nonce": NONCE,
        "boot_id": vm.boot_id,
        "image": "app-20261123t0300-c0ffeec-1234",
        "state": "ok",
        "exit_code": 0,
        "leader": True,
        "seconds": 0,
        "detail": "leader: of 3\nall is well",
    }
    vm = await ordered({"order": "drain"}, {"order": "gate"}, gate="blocked: p-7 lags")
    assert (answer(vm, "drain")["state"], answer(vm, "gate")["state"]) == ("none", "blocked")
    assert answer(vm, "gate")["detail"] == "p-7 lags"
    vm = await ordered({"order": "gate", "boot_id": "of another boot"}, gate="well")
    assert "answer-gate" not in vm.written
    assert "answer-gate" not in (await ordered({"order": "gate"}, gate="silent")).written
    assert answer(await ordered({"order": "shell"}), "shell")["state"] == "unknown"


async def test_an_instant_member_renders_again_for_real() -> None:
    vm = await ordered({"order": "render", "metadata": {"greeting": "good day"}})
    told = answer(vm, "render")
    assert told["state"] == "ok"
    assert "+good day from app-1 at " in told["detail"]
    assert vm.boot_disk["etc/app.conf"].startswith("good day from app-1")


async def test_a_busy_member_counts_and_gets_healthy() -> None:
    reports = await member(busy="10 of 340", busy_seconds="40")
    states = [report["state"] for report in reports]
    assert states == ["busy"] * 3 + ["healthy"] * 4
    assert "busy: 160 of 340" in reports[1]["detail"]
