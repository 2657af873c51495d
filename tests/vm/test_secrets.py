"""On real machines: apt logs in at a private archive, and no block of the image has the password.

The server of secrets and the archive are this computer's own. A first recipe sets the environment
that says where they are, as only an image can.
"""

from __future__ import annotations

import base64
import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from tests.support.http_servers import SilentHandler, running
from tests.support.secret_manager import SecretManager, serving

from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.testbed import Testbed

HOUR = 3600.0
HOST = "169.254.0.1"  # this computer, as machines of localgce see it
PASSWORD = "correct-horse-battery-staple-of-the-archive"
TOKEN = "hunter2-the-value-of-the-instance"
MARK = "this-line-is-in-the-package-of-the-private-archive"
SCRIPTS, RECIPES = "include/startup_scripts", "include/recipes"
GROUND = """\
base: debian-cloud/debian-12
smoke: none
image: {family: ground}
"""
SET_ENDPOINT = """\
mkdir -p /etc/systemd/system.conf.d
printf '[Manager]\\nDefaultEnvironment="%s=%s"\\n' \\
  CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER {{ vars.endpoint | sh }} \\
  >/etc/systemd/system.conf.d/endpoint.conf
"""
CLOSED = f"""\
base: {{recipe: ground}}
vars: {{archive: "http://{HOST}:PORT"}}
builder:
  service_account: builder@bakehouse-local.iam.gserviceaccount.com
  apt_auth:
    - {{machine: "http://{HOST}", login: build, password: secret://archive}}
smoke:
  metadata: {{api-token: secret://api/1}}
"""
INSTALL = """\
echo deb [trusted=yes] {{ vars.archive | sh }}/ ./ >/etc/apt/sources.list.d/private.list
apt-get update
apt-get install private-tool
rm /etc/apt/sources.list.d/private.list
"""
SMOKE = f"""\
app=/etc/app.conf auth=/etc/apt/auth.conf.d/bakehouse.conf
rendered() {{ [[ $(<$app) == token={TOKEN[:7]}* && $(stat -c %a $app) == 600 ]]; }}
clean() {{ [[ ! -e $auth && ! -L $auth ]]; }}
installed() {{ grep -q '{MARK}' /usr/share/private-tool/mark; }}
check "the secret is in the file, which is root's own" "templates/etc/app.conf.j2" rendered
check "the login is gone" "guest/builder.sh" clean
check "the package of the private archive is there" "install.sh" installed
"""


def package(folder: Path) -> dict[str, bytes]:
    """An archive of one package."""
    root = folder / "private-tool"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr/share/private-tool").mkdir(parents=True)
    (root / "usr/share/private-tool/mark").write_text(f"{MARK}\n")
    control = (
        "Package: private-tool\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\n"
        "Description: x\n"
    )
    (root / "DEBIAN/control").write_text(control)
    deb = folder / "private-tool.deb"
    command = ("dpkg-deb", "--root-owner-group", "--build", str(root), str(deb))
    subprocess.run(command, check=True, capture_output=True)
    data = deb.read_bytes()
    index = f"{control}Filename: ./private-tool.deb\nSize: {len(data)}\n"
    index += f"SHA256: {sha256(data).hexdigest()}\n\n"
    return {"/./Packages": index.encode(), "/./private-tool.deb": data}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[int, list[str]]]:
    """A port of an archive that wants a login, and the paths that were read with it."""
    files, read = package(tmp_path), list[str]()
    login = "Basic " + base64.b64encode(f"build:{PASSWORD}".encode()).decode()

    class Handler(SilentHandler):
        def do_GET(self) -> None:
            data = files.get(self.path, files.get(f"/.{self.path}", b""))
            if self.headers["Authorization"] != login:
                self.respond(status=401, WWW_Authenticate='Basic realm="private"')
                return
            if data:
                read.append(self.path)
            self.respond(data, 200 if data else 404)

    with running(Handler) as port:
        yield port, read


def test_no_block_of_an_image_has_the_password_of_the_archive(
    bed: Testbed, archive: tuple[int, list[str]], tmp_path: Path
) -> None:
    port, read = archive
    manager = SecretManager(project=bed.compute.project, token="")
    manager.secrets = {"archive/latest": PASSWORD.encode(), "api/1": TOKEN.encode()}
    with serving(manager):
        endpoint = f"http://{HOST}:{manager.port}/"
        bed.add_recipe(
            "ground",
            {
                f"{RECIPES}/ground.yaml": f"{GROUND}vars: {{endpoint: '{endpoint}'}}\n",
                f"{SCRIPTS}/ground/install.sh.j2": SET_ENDPOINT,
                f"{RECIPES}/closed.yaml": CLOSED.replace("PORT", str(port)),
                f"{SCRIPTS}/closed/install.sh.j2": INSTALL,
                f"{SCRIPTS}/closed/smoke_test.sh": SMOKE,
                f"{SCRIPTS}/closed/templates/etc/app.conf.j2": "token={{ api_token }}\n",
            },
        )
        ground = bed.bake("bake__ground", HOUR, git_ref=bed.head)
        assert ground.state == "success", bed.explain(ground)
        runs = "/dags/bake__closed/dagRuns"
        wait_until(
            lambda: bool(bed.airflow.call("GET", runs)["dag_runs"]), HOUR, "a run of bake__closed"
        )
        run_id = bed.airflow.call("GET", runs)["dag_runs"][0]["dag_run_id"]
        run = bed.airflow.wait("bake__closed", run_id, HOUR)
        assert run.state == "success", bed.explain(run)

    assert any(path.endswith("private-tool.deb") for path in read)
    assert {path.rpartition("/secrets/")[2] for path in manager.requests} == {
        "archive/versions/latest:access",
        "api/versions/1:access",
    }
    seen = found_in(disk_of(bed, "closed"), [PASSWORD, TOKEN, MARK], tmp_path / "disk.raw")
    assert seen == {MARK}, "what the package has is found, and so the search finds what is there"
    for secret in (PASSWORD, TOKEN):
        home = bed.stack.layout.airflow_home
        told = subprocess.run(("grep", "-rlaF", secret, str(home)), capture_output=True, text=True)
        assert told.stdout == "", "neither logs, ledger nor XComs"


def disk_of(bed: Testbed, family: str) -> Path:
    image = bed.compute.newest_of(family)["id"]
    return next(bed.stack.layout.gce.rglob(f"layers/{image}.qcow2"))


def found_in(disk: Path, texts: list[str], raw: Path) -> set[str]:
    """Which texts a disk has, in any block, its chain of layers included."""
    subprocess.run(("qemu-img", "convert", "-O", "raw", str(disk), str(raw)), check=True)
    found, most = set[str](), max(map(len, texts))
    before = b""
    with raw.open("rb") as file:
        while block := file.read(1 << 24):
            found |= {text for text in texts if text.encode() in before + block}
            before = block[-most:]
    raw.unlink()
    return found
