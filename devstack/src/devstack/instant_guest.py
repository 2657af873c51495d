"""The guest program of localgce's instant machines: a machine of ours without the machine.

`localgce serve --machines instant --guest <this file>` loads it by path and calls `boot(vm)` at
each start. It keeps the guest contract with what an instance is really given: the builder unpacks
its payload onto the boot disk, and whoever boots from the image made of that disk renders the
templates with the image's own render.py, so that an undefined name is an error here as well.

Not one line of a recipe's shell runs: nothing is installed, `health` and `smoke_test.sh` are
taken as passed. A test says how a machine shall behave by vars of its recipe, `instant_<knob>`,
or by an instance attribute `instant-<knob>`, which wins:

    install_seconds  how long installing takes, in the server's time (0)
    install_lines    so many lines on the serial port meanwhile, numbered from 1 (0)
    boot_seconds     from start to ready (0.2)
    until            name of a project attribute; without it, whoever installs stops halfway and
                     whoever boots the image does not get ready: a test ends the wait by setting it
    fail_install     install.sh fails with this message
    silent           true: the builder powers off without saying how it went
    hang             at this stage nothing happens any more: boot, install, generalise, power_off
                     for the builder; start for whoever boots the image
    unhealthy        the image's health check answers no, with this text
    report_seconds   between two health reports (the `ready.period` of the recipe)
    ill_after        so many seconds after it got ready the member's service dies for good: each
                     report from then on is unhealthy
    ill_for          so many seconds after that it is healthy again (never)
    ill_when         name of a project attribute: while the project has it, a member that got ready
                     is ill
    silent_after     so many seconds after it got ready no report is written any more, as by a
                     machine that hangs
    reports          once: one report at each start, and no orders, as images of older versions do
    busy             "12 of 340 segments": health says so from the start on, and counts up ...
    busy_seconds     ... so long, then it is healthy (for ever)
    gate, drain, resume, finalise
                     what this script of the recipe says; "blocked: why" or "failed: why" is its
                     state, "silent" gives no answer, all else is ok. Read anew for each order
    order_seconds    how long an order takes
    fail_check       the smoke test has a check of this name, and it fails
    packages         the manifest: "name=version name=version"
    formats          formats of data that the image can read: "metadata.version=7-33" (none)
    sources          its apt sources: "URI SUITE COMPONENT, URI SUITE COMPONENT" (none)
    releases         Release files by which apt verified: "NAME=SHA256 NAME=SHA256" (none)
    mirrors          lines of the mirror lists that sources name: "LIST URL, LIST URL" (none)
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
import tarfile
import time
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from functools import lru_cache
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import ModuleType

LIBRARY = "usr/lib/bakehouse"
FACTS = "etc/bakehouse/image.json"
RESULT = "var/lib/bakehouse/result"
TEMPLATES = f"{LIBRARY}/templates/"
TIMER = "etc/systemd/system/bakehouse-health.timer"
SCRIPTS = ("gate", "drain", "resume", "finalise")  # of a recipe, for orders
PACKAGES = "bash=5.2.15 google-guest-agent=20211116 libc6=2.36 python3-jinja2=3.1.2"
KERNEL = "6.1.0-0-instant-amd64"
SPACING = 0.35  # seconds between two guest attributes: more may be dropped
CHECKS_NOTHING = "an instant machine installs nothing, and checks nothing but that templates render"
BINARY = "base64:"  # how a file that is not text lies on an instant disk


class Vm(Protocol):
    """What localgce gives (its README says more)."""

    name: str
    boot_id: str

    def metadata(self) -> dict[str, Any]:
        """The metadata of the instance, as the metadata server shows it."""

    def project_attributes(self) -> dict[str, str]:
        """The attributes of the project."""

    async def metadata_changed(self) -> None:
        """Wait for the next change of the metadata of instance or project."""

    def serial(self, text: str) -> None:
        """Write to the first serial port."""

    async def guest_attribute(self, namespace: str, key: str, value: str) -> None:
        """Write a guest attribute; OSError when it is refused."""

    async def sleep(self, seconds: float) -> None:
        """Wait, by the clock of the machine."""

    async def power_off(self) -> None:
        """Stop the machine, from inside."""

    @property
    def boot_disk(self) -> MutableMapping[str, str]:
        """The files of the boot disk, by path below /."""


async def boot(vm: Vm) -> None:
    """One start of one machine; its role is in its metadata."""
    guest = Guest(vm)
    vm.serial(f"\n{vm.name} starts, an instant machine\n")
    if guest.attributes.get("bakehouse-role") in {"builder", "smoke"}:
        vm.serial(f"{CHECKS_NOTHING}\n")
    if guest.attributes.get("bakehouse-role") == "builder":
        await bake(guest)
    elif FACTS in vm.boot_disk:
        await start(guest)


class Guest:
    """A machine with its metadata as of this start."""

    def __init__(self, vm: Vm) -> None:
        self.vm = vm
        self.disk = vm.boot_disk
        self.instance = vm.metadata()
        self.attributes: dict[str, str] = self.instance.get("attributes", {})
        self.nonce = self.attributes.get("bakehouse-nonce", "")
        self.facts: dict[str, Any] = {}
        self.has_written = False

    def knob(self, name: str, default: str = "") -> str:
        """A setting `instant_NAME` of the recipe's vars, or `instant-NAME` of the metadata."""
        told = self.facts.get("vars", {}).get(f"instant_{name}", default)
        return str(self.attributes.get(f"instant-{name}", told))

    async def hang_at(self, stage: str) -> None:
        """Wait for ever, if the setting `hang` names this stage."""
        if self.knob("hang") == stage:
            await asyncio.get_running_loop().create_future()

    def is_set(self, name: str) -> bool:
        """Whether the project has this attribute; it has none without a name."""
        return bool(name) and name in self.vm.project_attributes()

    async def wait_for_permission(self) -> None:
        """Until the project has the attribute that the knob `until` names."""
        while (name := self.knob("until")) and not self.is_set(name):
            await self.vm.metadata_changed()

    def say(self, **members: Any) -> None:
        """Write a line of JSON with the nonce to the serial port."""
        self.vm.serial(f"\nbakehouse {json.dumps({'nonce': self.nonce, **members})}\n")

    async def put(self, key: str, value: str) -> None:
        """Three a second at most, as bake.sh; where it is refused, the serial line stands."""
        if self.has_written:
            await self.vm.sleep(SPACING)
        self.has_written = True
        try:
            await self.vm.guest_attribute("bakehouse", key, value)
        except OSError as refused:
            self.vm.serial(f"guest attribute {key}: {refused}\n")


class InstallFailed(Exception):
    """`args[0]` is the error object of the contract."""


async def bake(guest: Guest) -> None:
    """Builder: unpack, install, generalise, say so twice, power off."""
    before = guest.disk.get(RESULT, "").split("\n")
    if before[0] == guest.nonce and before[1] != "started":
        return await finish(guest, before[1])
    try:
        if before[0] == guest.nonce:
            raise InstallFailed(problem("bake.sh", "the builder restarted while it was baking"))
        guest.disk[RESULT] = f"{guest.nonce}\nstarted\n"
        await install(guest)
    except InstallFailed as failure:
        await guest.put("error", json.dumps(failure.args[0]))
        return await finish(guest, "failed", error=failure.args[0])
    if guest.knob("silent"):
        return await guest.vm.power_off()
    return await finish(guest, "ok")


async def install(guest: Guest) -> None:
    """Unpack the payload and render its files; InstallFailed names script and line."""
    try:
        files = unpack(guest.attributes["bakehouse-payload"])
        guest.facts = json.loads(files["image.json"])
    except (KeyError, ValueError, OSError, tarfile.TarError) as broken:
        raise InstallFailed(problem("bake.sh", f"no payload: {broken!r}")) from broken
    await stage(guest, "boot")
    await stage(guest, "install")
    installed = int(guest.attributes.get("bakehouse-installed-parts", "0"))
    if installed == 0:
        await work(guest)
    if message := guest.knob("fail_install"):
        raise InstallFailed(problem("install.sh", message))
    await keep_layers(guest, files, installed)
    put_in_place(guest.disk, files, guest.facts)
    await stage(guest, "generalise")
    told = manifest(guest)
    guest.say(manifest=told)
    await guest.put("manifest", told)


async def keep_layers(guest: Guest, files: dict[str, bytes], installed: int) -> None:
    """Pass over the parts that the disk has; after each other one, wait until a layer is kept."""
    parts = sorted(path.removeprefix("recipe/") for path in files if path.endswith(".sh"))
    parts = [part for part in parts if part == "install.sh" or part.startswith("install.d/")]
    for number, part in enumerate(parts, 1):
        if number <= installed:
            continue
        guest.vm.serial(f"{part} is taken as run\n")
        if not guest.attributes.get("bakehouse-keeps-layers"):
            continue
        await guest.put("layer", "\n".join([str(number), *parts[:number]]))
        while guest.vm.metadata()["attributes"].get("bakehouse-layer-kept") != str(number):
            await guest.vm.metadata_changed()


async def work(guest: Guest) -> None:
    """As long as an install takes, and as chatty."""
    seconds = float(guest.knob("install_seconds") or 0)
    lines = int(guest.knob("install_lines") or 0)
    steps = max(1, min(lines, 100))
    for step in range(steps):
        if step == steps // 2:
            await guest.wait_for_permission()
        for number in range(step * lines // steps, (step + 1) * lines // steps):
            guest.vm.serial(f"Setting up package {number + 1} of {lines}\n")
        await guest.vm.sleep(seconds / steps)


async def stage(guest: Guest, name: str) -> None:
    """Report the stage."""
    guest.say(stage=name)
    await guest.put("stage", name)
    await guest.hang_at(name)


async def finish(guest: Guest, result: str, **more: Any) -> None:
    """Report the result and power off."""
    guest.disk[RESULT] = f"{guest.nonce}\n{result}\n"
    await guest.put("result", result)
    guest.say(result=result, **more)
    await guest.hang_at("power_off")
    await guest.vm.power_off()


async def start(guest: Guest) -> None:
    """Member or smoke VM: render, report health; the smoke VM proves itself, and powers off.

    A member reports again and again, as the timer in the image says.
    """
    guest.facts = json.loads(guest.disk[FACTS])
    await guest.hang_at("start")
    await guest.wait_for_permission()
    ready = float(guest.knob("boot_seconds", "0.2"))
    await guest.vm.sleep(ready)
    detail = render(guest)
    reports = Reports(guest, ready)
    health = await reports.write(detail or guest.knob("unhealthy"))
    if guest.attributes.get("bakehouse-role") == "smoke":
        await prove(guest, health)
    elif reports.period is not None:
        reports.detail = detail
        answering = asyncio.ensure_future(answer_orders(guest, reports))
        try:
            await reports.go_on()
        finally:
            answering.cancel()


class Reports:
    """The health reports of one boot."""

    def __init__(self, guest: Guest, ready: float) -> None:
        self.guest, self.ready, self.uptime = guest, ready, ready
        self.period = period(guest)
        self.state = ""
        self.detail = ""  # what is wrong with the files that were rendered last

    async def write(self, detail: str) -> dict[str, Any]:
        """Write a report, in the form of the image's `report`; `detail` tells what is ill."""
        guest = self.guest
        busy = "" if detail else self.busy()
        health: dict[str, Any] = {
            "state": "unhealthy" if detail else "busy" if busy else "healthy",
            "image": guest.facts["image"],
            "git_sha": guest.facts["git_sha"],
            "boot_id": guest.vm.boot_id,
        }
        if self.period is not None:
            moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            health |= {"time": moment, "uptime": round(self.uptime, 2), "period": self.period}
            health |= {"check_limit": 0, "restarts": 0, "orders": orders_of(guest)}
        health |= {"ready_seconds": self.ready, "boot_seconds": self.ready}
        health["detail"] = detail or busy
        if health["state"] != self.state:
            guest.say(health=health)
        self.state = health["state"]
        await guest.put("health", json.dumps(health))
        return health

    def busy(self) -> str:
        """What a member counts to before it is healthy; empty if to nothing, or no longer."""
        known = re.match(r"(\d+) of (\d+)", self.guest.knob("busy"))
        since = self.uptime - self.ready
        if known is None or since >= float(self.guest.knob("busy_seconds") or "inf"):
            return ""
        return f"health exited with 1\nbusy: {int(known[1]) + int(since * 10)} of {known[2]}"

    def ill(self) -> str:
        """What is wrong with the member now."""
        guest, since = self.guest, self.uptime - self.ready
        begin, length = (float(guest.knob(name) or "inf") for name in ("ill_after", "ill_for"))
        dead = begin <= since < begin + length or guest.is_set(guest.knob("ill_when"))
        died = "app.service has failed (exit-code, exit code 1)" if dead else ""
        return self.detail or guest.knob("unhealthy") or died

    async def go_on(self) -> None:
        """Write one report each period until the machine stops, or as the settings say."""
        silent = float(self.guest.knob("silent_after") or "inf")
        while self.period is not None:
            await self.guest.vm.sleep(self.period)
            self.uptime += self.period
            if self.uptime - self.ready >= silent:
                return
            await self.write(self.ill())


def period(guest: Guest) -> float | None:
    """Seconds between two reports, as the timer in the image says; None: one at each start."""
    timer = re.search(r"^OnUnitInactiveSec=(\d+)$", guest.disk.get(TIMER, ""), re.MULTILINE)
    if timer is None or guest.knob("reports") == "once":
        return None
    return float(guest.knob("report_seconds") or timer[1])


def orders_of(guest: Guest) -> list[str]:
    """The orders that this image can carry out; a setting stands for a script of the recipe."""
    says = {name: guest.knob(name) for name in ("gate", "drain", "resume", "finalise")}
    told = (name for name, text in says.items() if text or f"{LIBRARY}/{name}" in guest.disk)
    return ["health", "render", *told]


async def answer_orders(guest: Guest, reports: Reports) -> None:
    """Answer what the metadata `bakehouse-order` says, as the image's `orders` does."""
    last, done = "", dict[str, dict[str, Any]]()
    while True:
        text = guest.vm.metadata().get("attributes", {}).get("bakehouse-order", "")
        if text != last:
            last = text
            await take_order(guest, reports, text, done)
        else:
            await guest.vm.metadata_changed()


async def take_order(
    guest: Guest, reports: Reports, text: str, done: dict[str, dict[str, Any]]
) -> None:
    """Carry out an order for this boot; one that was carried out is answered again."""
    try:
        order = json.loads(text)
        name, nonce, boot = (str(order[key]) for key in ("order", "nonce", "boot_id"))
    except (ValueError, KeyError, TypeError):
        return
    if boot != guest.vm.boot_id:
        return
    if done.get(name, {}).get("nonce") != nonce:
        guest.instance = guest.vm.metadata()
        guest.attributes = guest.instance.get("attributes", {})
        await guest.vm.sleep(float(guest.knob("order_seconds") or 0))
        state, detail = await carried_out(guest, reports, name)
        if detail == "silent":
            return
        answer = {
            "order": name,
            "nonce": nonce,
            "boot_id": boot,
            "image": guest.facts["image"],
            "state": state,
            "exit_code": 0,
            "leader": name == "gate" and bool(re.search(r"^leader(:|$)", detail, re.MULTILINE)),
            "seconds": 0,
            "detail": detail,
        }
        done[name] = answer
        guest.say(answer=answer)
    await guest.put(f"answer-{name}", json.dumps(done[name]))


async def carried_out(guest: Guest, reports: Reports, name: str) -> tuple[str, str]:
    """Carry out one order; its state and what it says."""
    if name in SCRIPTS:
        text = guest.knob(name)
        state, colon, why = text.partition(": ")
        if colon and state in {"blocked", "failed"}:
            return state, why
        return ("ok", text) if name in orders_of(guest) else ("none", f"no script {name}")
    if name == "health":
        health = await reports.write(reports.ill())
        state = {"healthy": "ok", "busy": "busy"}.get(health["state"], "failed")
        return state, f"{health['state']}: {health['detail']}".removesuffix(": ")
    if name == "render":
        return render_again(guest, reports)
    return "unknown", f"this image knows no order {name}"


def render_again(guest: Guest, reports: Reports) -> tuple[str, str]:
    """Render with the metadata of now, and say what has changed; all or nothing."""
    before = dict(guest.disk)
    wrong = render(guest)
    if wrong:
        return "failed", wrong
    changes = module_of(guest.disk[f"{LIBRARY}/config_changes.py"], "bakehouse_config_changes")
    secrets = changes.secrets_of(guest.attributes, guest.vm.project_attributes())
    changed = [path for path in guest.disk if guest.disk[path] != before.get(path)]
    reports.detail = ""
    if not changed:
        return "ok", "no file has changed"
    told = [f"changed: {' '.join(f'/{path}' for path in changed)}"]
    for path in changed:
        old = to_bytes(before[path]) if path in before else None
        told += changes.diff(f"/{path}", old, to_bytes(guest.disk[path]), secrets)
    ill = reports.ill()
    return ("failed", "\n".join([ill, *told])) if ill else ("ok", "\n".join(told))


async def prove(guest: Guest, health: dict[str, Any]) -> None:
    """Report the checks of the smoke test."""
    checks, error = [], None
    if health["state"] == "healthy":
        checks = [check("the templates render", ok=True)]
        if failing := guest.knob("fail_check"):
            checks.append(check(failing, ok=False))
    else:
        error = problem("boot.sh", f"the image boots unhealthy: {health['detail']}")
    for one in checks:
        guest.say(check=one)
    passed = error is None and all(one["ok"] for one in checks)
    result = {
        "result": "ok" if passed else "failed",
        "ready_seconds": health["ready_seconds"],
        "error": error,
        "checks": checks,
        "note": CHECKS_NOTHING,
    }
    await guest.put("smoke", json.dumps(result))
    guest.say(**result)
    await guest.vm.power_off()


def render(guest: Guest) -> str:
    """Write what the image's templates make of the metadata; what is wrong, if anything is."""
    module = renderer(guest.disk[f"{LIBRARY}/render.py"])
    entries = [
        module.Entry(path.removeprefix(TEMPLATES), 0o100644, to_bytes(guest.disk[path]))
        for path in list(guest.disk)
        if path.startswith(TEMPLATES)
    ]
    instance, project, wrong = without_references(guest)
    done = []
    if not wrong:
        done, wrong = module.render(entries, module.context(instance, project, guest.facts))
    if not wrong:
        for entry in done:
            guest.disk[entry.path] = to_text(entry.data)
    return "\n".join(wrong)


def without_references(guest: Guest) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The metadata, with `secret NAME/VERSION` where a real machine asks Secret Manager."""
    instance, project = guest.instance, guest.vm.project_attributes()
    source = guest.disk.get(f"{LIBRARY}/secret_values.py")
    if source is None:  # an image of before
        return instance, project, []
    secrets = module_of(source, "bakehouse_secret_values")
    found = secrets.resolve(
        instance, project, lambda _: True, lambda one: f"secret {'/'.join(one)}"
    )
    return found.instance, found.project, found.wrong


class _FromText(InspectLoader):
    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, fullname: str) -> str:  # ruff: ignore[unused-method-argument]  as importlib calls it
        return self.text


@lru_cache(maxsize=8)
def renderer(source: str) -> ModuleType:
    """The render.py that lies in the image, as a module."""
    return module_of(source, "bakehouse_render")


def module_of(source: str, name: str) -> ModuleType:
    """A program of the image as a module."""
    loader = _FromText(source)
    spec = spec_from_loader(name, loader)
    if spec is None:
        raise ImportError(f"no module can be made of {name}")
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def put_in_place(
    disk: MutableMapping[str, str], files: dict[str, bytes], facts: dict[str, Any]
) -> None:
    """Where bake.sh puts them."""
    disk[FACTS] = to_text(files["image.json"])
    disk[f"{LIBRARY}/boot"] = to_text(files["guest/boot.sh"])
    disk[f"{LIBRARY}/render.py"] = to_text(files["guest/render.py"])
    disk[f"{LIBRARY}/report"] = to_text(files["guest/report.sh"])
    disk[f"{LIBRARY}/config_changes.py"] = to_text(files["guest/config_changes.py"])
    if "guest/secret_values.py" in files:  # not in a payload of before
        disk[f"{LIBRARY}/secret_values.py"] = to_text(files["guest/secret_values.py"])
    disk[f"{LIBRARY}/orders"] = to_text(files["guest/orders.sh"])
    disk[TIMER] = to_text(files["guest/bakehouse-health.timer"])
    for path, data in files.items():
        name = path.removeprefix("recipe/")
        if name in {"health", *SCRIPTS} or name.startswith("templates/"):
            disk[f"{LIBRARY}/{name}"] = to_text(data)
    before = disk.get(f"{LIBRARY}/services", "").splitlines()
    services = dict.fromkeys([*before, *facts["services"]])
    disk[f"{LIBRARY}/services"] = "".join(f"{unit}\n" for unit in services)


def unpack(payload: str) -> dict[str, bytes]:
    """Files of the payload; a link is the text of what it names."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(b64decode(payload)), mode="r:gz") as tar:
        for entry in tar.getmembers():
            content = tar.extractfile(entry) if entry.isfile() else None
            files[entry.name] = content.read() if content else entry.linkname.encode()
    return files


def manifest(guest: Guest) -> str:
    """As bake.sh tells it."""
    entries = (guest.knob("packages") or PACKAGES).split()
    sources, mirrors = (
        [entry.split() for entry in guest.knob(name).split(",") if entry.strip()]
        for name in ("sources", "mirrors")
    )
    releases = [entry.split("=") for entry in (guest.knob("releases") or "").split()]
    used = sum(len(text) for text in guest.disk.values())
    services = guest.disk[f"{LIBRARY}/services"].splitlines()
    lines = [
        ("bakehouse-manifest", "2"),
        ("os", "debian", "12"),
        *(("package", *entry.split("=", 1), "amd64") for entry in sorted(entries)),
        *(("source", *source) for source in sources),
        *(("release", *release) for release in releases),
        *(("mirror", *mirror, "") for mirror in mirrors),
        ("kernel", KERNEL),
        ("used", str(used)),
        ("size", str(used)),
        ("booted", f"{time.time():.2f}"),
        ("step", "install", "0.00"),
        ("enabled", "bakehouse-boot.service"),
        *(("started", unit) for unit in services),
        *(format_line(entry) for entry in (guest.knob("formats") or "").split()),
    ]
    text = "".join("\t".join(line) + "\n" for line in lines)
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def format_line(entry: str) -> tuple[str, ...]:
    """A line of the manifest, of `name=min-max`."""
    name, _, versions = entry.partition("=")
    return ("format", name, *versions.split("-"))


def check(name: str, *, ok: bool) -> dict[str, Any]:
    """The result of one check, as the guest scripts report it."""
    return {"name": name, "ok": ok, "hint": "an instant machine runs no commands", "detail": ""}


def problem(script: str, message: str) -> dict[str, Any]:
    """An error of a script, as the guest scripts report it."""
    return {"script": script, "line": 1, "command": "", "exit_code": 1, "message": message}


def to_text(data: bytes) -> str:
    """The content of a file as text; base64 with a prefix where it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return BINARY + b64encode(data).decode("ascii")


def to_bytes(text: str) -> bytes:
    """The content of a file that `to_text` wrote."""
    if text.startswith(BINARY):
        return b64decode(text.removeprefix(BINARY))
    return text.encode()
