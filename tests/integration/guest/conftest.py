"""A machine without a machine: the real scripts over a folder that stands for /.

The metadata server is a real HTTP server; only what would touch the host (apt-get, systemctl,
dpkg-query, journalctl, sync, sleep) is a stub on PATH that writes down how it was called.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.support.http_servers import SilentHandler, running

from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.facts import BaseFacts, ImageFacts
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.model import Recipe, Smoke
from bakehouse.recipe.render import Rendered, builder_metadata, render, smoke_metadata

from .archives import Archive

if TYPE_CHECKING:
    from collections.abc import Iterator

NONCE = "0123456789abcdef" * 2
COMMIT = Commit(
    sha="c0ffee" * 6 + "c0ff",
    ref="main",
    subject="Bake",
    author_time=datetime(2026, 11, 23, tzinfo=UTC),
    author="A <a@example.org>",
)
POWER_OFF = "systemctl poweroff --force"
START_TIMER = "systemctl start --no-block bakehouse-health.timer bakehouse-orders.service"
STUBS = {
    "apt-get": 'case "$1" in indextargets) cat "$BAKEHOUSE_ROOT/sources"; esac',
    "apt-cache": 'cat "$BAKEHOUSE_ROOT/madison"',
    "sync": "",
    "sleep": "",
    "journalctl": "",
    # a unit is what its file in the folder `units` says; without one, it runs
    "systemctl": """case "$*" in
*missing*) echo "Unit missing does not exist" >&2; exit 1 ;;
show*)
  separator=
  for unit in "${@:3}"; do
    printf "$separator"; separator='\\n'
    file=$BAKEHOUSE_ROOT/units/${unit%.service}
    if [[ -e $file ]]; then cat "$file"; else
      [[ $unit == *.* ]] || unit+=.service
      printf '%s\\n' Type=simple Result=success NRestarts=0 MainPID=7 InvocationID=a "Id=$unit" \\
        LoadState=loaded ActiveState=active SubState=running
    fi
  done ;;
is-active*)
  for unit in "${@:2}"; do
    [[ $unit != -* ]] || continue
    state=$(sed -n 's/^ActiveState=//p' "$BAKEHOUSE_ROOT/units/${unit%.service}" 2>/dev/null)
    [[ ${state:-active} != active ]] || exit 0
  done
  exit 3 ;;
esac""",
    "py3compile": "",
    "apt-config": "",
    "dpkg-query": r"printf 'installed\tnginx\t1.22.1\tamd64\nconfig-files\told\t1\tall\n'",
}
DEBIAN = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
    # what apt-get indextargets and apt-cache madison say
    "sources": "source\thttp://deb.debian.org/debian\tbookworm\tmain\n" * 2
    + "source\thttp://flat.example/x\t./\t$(COMPONENT)\n",
    "madison": "     nginx | 1.22.1 | http://deb.debian.org/debian bookworm/main amd64 Packages\n"
    "     nginx | 1.22.0-1 | http://deb.debian.org/debian bookworm/main amd64 Packages\n",
}


def recipe_files(name: str, files: dict[str, str]) -> dict[str, GitFile]:
    """A recipe's folder beside our own; scripts without a suffix are executable."""
    own = {
        f"{name}/{path}": GitFile(0o100644 if "." in path else 0o100755, text.encode())
        for path, text in files.items()
    }
    return {**guest_scripts(), **own}


def facts(rendered: Rendered) -> ImageFacts:
    return ImageFacts(
        recipe=rendered.recipe,
        image="app-20261123t0300-c0ffeec-1234",
        git_sha=COMMIT.sha,
        content_key="k" * 40,
        base_image=BaseFacts(name="debian-12-bookworm-v20261110", id="42"),
        vars=dict(rendered.vars),
        services=rendered.services,
        run="0011223344556677",
    )


@dataclass
class Machine:
    """One machine's folder, metadata and what it has said."""

    root: Path
    stubs: Path
    host: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    project: dict[str, str] = field(default_factory=dict)
    written: list[tuple[str, str]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)  # of each write
    refuse_writes: bool = False
    own_metadata: dict[str, str] = field(default_factory=dict)  # by path below instance/
    changed: Condition = field(default_factory=Condition)  # of the attributes
    waits: int = 0  # of requests that wait for a change
    variables: dict[str, str] = field(default_factory=dict)  # environment that the image sets

    @property
    def guest_attributes(self) -> dict[str, str]:
        return dict(self.written)

    @property
    def calls(self) -> list[str]:
        log = self.stubs / "calls"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def changes(self) -> list[str]:
        """The calls that do not only look or wait."""
        looks = ("systemctl show", "systemctl is-active", "journalctl", "sleep")
        return [call for call in self.calls if not call.startswith(looks)]

    @property
    def updates(self) -> list[str]:
        """The calls that update apt's lists, with their options."""
        return [call for call in self.calls if call.startswith("apt-get --quiet update")]

    @property
    def health(self) -> dict[str, Any]:
        """What a boot has told, both ways."""
        told: dict[str, Any] = json.loads(self.guest_attributes["health"])
        assert told == next(line["health"] for line in self.said if "health" in line)
        return told

    def unit(self, name: str, **properties: str) -> None:
        """What systemd says of a unit from now on; by default it runs."""
        runs = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running"}
        service = {"Id": f"{name}.service", "Type": "simple", "Result": "success", "NRestarts": "0"}
        self.say_of_unit(name, {**service, **runs, **properties})

    def say_of_unit(self, name: str, properties: dict[str, str]) -> None:
        file = self.root / "units" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))

    def meanwhile(self, command: str) -> None:
        """Run a shell command in the first pause of a script."""
        self.stub("sleep", command)

    def stub(self, name: str, body: str) -> None:
        """A program on PATH that writes down how it was called, and does this."""
        file = self.stubs / name
        file.write_text(f'#!/bin/bash\necho "{name} $*" >>"$CALLS"\n{body}\n')
        file.chmod(0o755)

    @property
    def said(self) -> list[dict[str, Any]]:
        """The structured lines of the serial port."""
        lines = (self.root / "dev/ttyS0").read_text().splitlines()
        return [json.loads(x.removeprefix("bakehouse ")) for x in lines if x.startswith("bakeh")]

    @property
    def result(self) -> dict[str, Any]:
        return next(line for line in self.said if "result" in line)

    def instance(self) -> dict[str, Any]:
        zone = "projects/1/zones/us-central1-a"
        return {"name": "app-1", "id": 7, "zone": zone, "attributes": self.attributes}

    @property
    def environment(self) -> dict[str, str]:
        """That of the scripts; their python3 has Jinja2, as a baked machine's has."""
        own = Path(sys.executable).parent
        return {
            "PATH": f"{self.stubs}:{own}:{os.environ['PATH']}",
            "BAKEHOUSE_ROOT": str(self.root),
            "GCE_METADATA_HOST": self.host,
            "CALLS": str(self.stubs / "calls"),
            **self.variables,
        }

    def change(self, **attributes: str) -> None:
        """Change attributes of the instance; who waits for a change is answered."""
        with self.changed:
            names = {name.replace("_", "-"): value for name, value in attributes.items()}
            self.attributes = {**self.attributes, **names}
            self.changed.notify_all()

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """A script as the guest agent runs it: a file, as root it thinks."""
        file = self.stubs.parent / "startup-script"
        file.write_text(script)
        env = self.environment
        command = ("bash", str(file))
        return subprocess.run(
            command,
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=250,
            check=False,
        )

    def bake(self, rendered: Rendered) -> subprocess.CompletedProcess[str]:
        self.attributes.update(builder_metadata(rendered, facts(rendered), NONCE))
        return self.run(rendered.bake_script)

    def boot(self) -> subprocess.CompletedProcess[str]:
        return self.run((self.root / "usr/lib/bakehouse/boot").read_text())

    def report(self) -> dict[str, Any]:
        """One report, as the timer asks for it; what it has written."""
        done = self.run((self.root / "usr/lib/bakehouse/report").read_text())
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads((self.root / "run/bakehouse/health.json").read_text())
        return told

    def become(self, role: str, **attributes: str) -> None:
        """The machine that boots from the image: other metadata, empty /run."""
        names = {name.replace("_", "-"): value for name, value in attributes.items()}
        self.attributes = {"bakehouse-role": role, "bakehouse-nonce": NONCE, **names}
        self.written.clear()
        (self.root / "dev/ttyS0").unlink(missing_ok=True)
        subprocess.run(("rm", "-rf", str(self.root / "run")), check=True)

    def smoke(self, rendered: Rendered) -> subprocess.CompletedProcess[str]:
        self.attributes.update(smoke_metadata(rendered, NONCE))
        return self.run(rendered.smoke_script)


@pytest.fixture
def archive() -> Iterator[Archive]:
    """With the suites stable and security."""
    archive = Archive()
    archive.publish("stable")
    archive.publish("security")
    with archive.served():
        yield archive


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "root", tmp_path / "stubs")
    for folder in ("dev", "etc", "proc/sys/kernel/random", "proc/1", "var/log", "tmp"):
        (machine.root / folder).mkdir(parents=True)
    (machine.root / "proc/uptime").write_text("12.34 20.00\n")
    (machine.root / "proc/1/comm").write_text("systemd\n")
    (machine.root / "proc/sys/kernel/random/boot_id").write_text("b001-1d\n")
    for path, text in DEBIAN.items():
        (machine.root / path).write_text(text)
    link = machine.root / "etc/systemd/system/multi-user.target.wants/ssh.service"
    link.parent.mkdir(parents=True)
    link.symlink_to("/lib/systemd/system/ssh.service")
    machine.stubs.mkdir()
    for name, body in STUBS.items():
        machine.stub(name, body)
    with running(_handler(machine)) as port:
        machine.host = f"127.0.0.1:{port}"
        yield machine


def etag(machine: Machine) -> str:
    text = json.dumps(machine.attributes, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _handler(machine: Machine) -> type[SilentHandler]:
    class Handler(SilentHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/computeMetadata/v1/").partition("?")[0]
            key = path.removeprefix("instance/attributes/")
            if path == "instance/attributes/":
                self.wait(dict(parse_qsl(urlsplit(self.path).query)))
            elif path == "instance/":
                self.respond(json.dumps(machine.instance()).encode())
            elif path == "project/attributes/":
                self.respond(json.dumps(machine.project).encode())
            elif path.removeprefix("instance/") in machine.own_metadata:
                self.respond(machine.own_metadata[path.removeprefix("instance/")].encode())
            elif key in machine.attributes:
                self.respond(machine.attributes[key].encode())
            else:
                self.send_error(404)

        def do_PUT(self) -> None:
            body = self.body().decode()
            if machine.refuse_writes or self.headers["Metadata-Flavor"] != "Google":
                self.send_error(403)
                return
            machine.moments.append(time.monotonic())
            machine.written.append((self.path.rpartition("/guest-attributes/bakehouse/")[2], body))
            self.respond()

        def wait(self, query: dict[str, str]) -> None:
            """As the metadata server: until the attributes are others, or the time is over."""
            with machine.changed:
                machine.waits += 1
                machine.changed.notify_all()
                until = time.monotonic() + min(float(query["timeout_sec"]), 5)
                while etag(machine) == query["last_etag"] and time.monotonic() < until:
                    machine.changed.wait(until - time.monotonic())
            with suppress(BrokenPipeError):  # its client was killed
                self.respond(json.dumps(machine.attributes).encode(), ETag=etag(machine))

    return Handler


# of the smoke test's machine: the instances of the tests have other attributes
SMOKE_METADATA = {"greeting": "hello", "nothing": "something", "a": "1"}


def rendered_app(files: dict[str, str], **fields: Any) -> Rendered:
    """A recipe `app` with these files, rendered at COMMIT."""
    checks = {"health", "smoke_test.sh"} & files.keys()
    fields.setdefault("smoke", Smoke(metadata=SMOKE_METADATA, none=not checks))
    recipe = Recipe.model_validate({"name": "app", "base": "debian-cloud/debian-12", **fields})
    return render(recipe, COMMIT, recipe_files("app", files))
