"""Metadata that refers to secrets: read by the instance itself, and written into its files only."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.secret_manager import SecretManager, error, serving

from bakehouse.recipe.model import Smoke

from .conftest import Machine, rendered_app

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "hunter2&<correct horse>"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n"
FILES = {
    "install.sh.j2": "true\n",
    "health": "#!/bin/bash\ntrue\n",
    "templates/etc/app.conf.j2": "name={{ instance.name }}\npassword={{ db_password }}\n",
}
METADATA = {"db_password": "secret://db-password"}
ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER"


@pytest.fixture
def manager(machine: Machine) -> Iterator[SecretManager]:
    manager = SecretManager()
    manager.secrets["db-password/latest"] = PASSWORD.encode()
    with serving(manager):
        machine.variables = {ENDPOINT: manager.endpoint}
        token = {"access_token": manager.token, "expires_in": 3599, "token_type": "Bearer"}
        account = "service-accounts/default"
        machine.own_metadata = {
            "project/project-id": manager.project,
            f"{account}/token": json.dumps(token),
            f"{account}/email": "app@p.iam.gserviceaccount.com",
        }
        yield manager


def baked(machine: Machine, files: dict[str, str] | None = None) -> Machine:
    smoke = Smoke(metadata={"db-password": "x", "greeting": "hello", "tls-key": "x"})
    app = rendered_app({**FILES, **(files or {})}, boot_time_limit="15s", smoke=smoke)
    done = machine.bake(app)
    assert done.returncode == 0, done.stderr
    return machine


APT = {
    "apt_auth": [
        {"machine": "http://127.0.0.1/debian", "login": "build", "password": "secret://apt"},
        {"machine": "other.example.org", "login": "b", "password": "secret://db-password"},
    ],
    "service_account": "builder@p.iam.gserviceaccount.com",
}
LOOK = "cat $BAKEHOUSE_ROOT/etc/apt/auth.conf.d/bakehouse.conf >$BAKEHOUSE_ROOT/../seen\n"


def bake_with_logins(machine: Machine) -> dict[str, Any]:
    scripts = {"install.sh.j2": LOOK, "health": FILES["health"]}
    machine.bake(rendered_app(scripts, builder=APT))
    return machine.result


def test_logins_of_private_archives_are_there_for_apt_and_nowhere_afterwards(
    machine: Machine, manager: SecretManager
) -> None:
    manager.secrets |= {"apt/latest": b"T0pSecret\n", "db-password/latest": b"0ther"}
    assert bake_with_logins(machine)["result"] == "ok"
    assert (machine.root.parent / "seen").read_text() == (
        "machine http://127.0.0.1/debian login build password T0pSecret\n"
        "machine other.example.org login b password 0ther\n"
    )
    assert traces_of(machine, "T0pSecret") == set()
    assert not (machine.root / "etc/apt/auth.conf.d/bakehouse.conf").is_symlink()
    assert "T0pSecret" not in json.dumps([machine.said, machine.attributes])


def test_passwords_of_archives_are_in_memory_and_the_disk_has_a_link(
    machine: Machine, manager: SecretManager
) -> None:
    """What was on the disk once can be read from its free blocks."""
    manager.secrets |= {"apt/latest": b"T0pSecret", "db-password/latest": b"0ther"}
    look = (
        "cd $BAKEHOUSE_ROOT; stat -Lc %a etc/apt/auth.conf.d/bakehouse.conf >../seen\n"
        "grep -rl T0p'S'ecret . >>../seen\n"
    )
    scripts = {"install.sh.j2": look, "health": FILES["health"]}
    machine.bake(rendered_app(scripts, builder=APT))
    assert (machine.root.parent / "seen").read_text() == "600\n./run/bakehouse/apt-auth.conf\n"


def test_a_login_whose_secret_cannot_be_read_ends_the_bake_before_apt_asks(
    machine: Machine, manager: SecretManager
) -> None:
    manager.denied = {"apt"}
    manager.secrets["db-password/latest"] = b"two words"
    result = bake_with_logins(machine)
    assert result["result"] == "failed"
    first, second = result["error"]["message"].splitlines()
    assert first.startswith(
        "builder.apt_auth of http://127.0.0.1/debian: secret://apt is denied to app@p.iam"
    )
    assert second.startswith("builder.apt_auth of other.example.org: secret://db-password is empty")
    assert not [call for call in machine.calls if call.startswith("apt-get")]


def traces_of(machine: Machine, secret: str) -> set[str]:
    """Where a secret, or a line of it, stands: files below /, and what the machine has said."""
    found = set()
    for path in machine.root.rglob("*"):
        if path.is_file() and any(x in path.read_bytes() for x in secret.encode().splitlines()):
            found.add(str(path.relative_to(machine.root)))
    said = json.dumps(machine.written)
    assert secret not in said
    assert json.dumps(secret)[1:-1] not in said
    return found


def test_a_secret_stands_in_the_rendered_file_and_nowhere_else(
    machine: Machine, manager: SecretManager
) -> None:
    baked(machine).become("member", **METADATA)
    done = machine.boot()
    assert done.returncode == 0, done.stderr
    assert (machine.root / "etc/app.conf").read_text() == f"name=app-1\npassword={PASSWORD}\n"
    assert machine.health["state"] == "healthy"
    assert traces_of(machine, PASSWORD) == {"etc/app.conf"}
    assert PASSWORD not in done.stdout + done.stderr
    assert manager.requests == ["/v1/projects/p/secrets/db-password/versions/latest:access"]


@pytest.mark.usefixtures("manager")
def test_a_new_file_with_a_secret_is_its_owners_only(machine: Machine) -> None:
    baked(machine, {"templates/etc/plain.conf.j2": "{{ greeting }}\n"})
    machine.become("member", greeting="hello", **METADATA)
    machine.boot()
    modes = [
        stat.S_IMODE((machine.root / "etc" / name).stat().st_mode)
        for name in ("app.conf", "plain.conf")
    ]
    assert modes == [0o600, 0o644]


@pytest.mark.usefixtures("manager")
def test_a_file_with_a_secret_keeps_the_mode_that_the_install_gave_it(machine: Machine) -> None:
    baked(machine).become("member", **METADATA)
    (machine.root / "etc/app.conf").write_text("")
    (machine.root / "etc/app.conf").chmod(0o640)
    machine.boot()
    assert stat.S_IMODE((machine.root / "etc/app.conf").stat().st_mode) == 0o640


def test_a_reference_names_a_version_or_the_latest(
    machine: Machine, manager: SecretManager
) -> None:
    manager.secrets = {f"db-password/{asked}": asked.encode() for asked in ("latest", "7", "blue")}
    baked(machine)
    for version, asked in (("", "latest"), ("/latest", "latest"), ("/7", "7"), ("/blue\n", "blue")):
        machine.become("member", db_password=f"secret://db-password{version}")
        machine.boot()
        assert f"password={asked}\n" in (machine.root / "etc/app.conf").read_text()


def test_a_secret_of_many_lines_is_written_whole(machine: Machine, manager: SecretManager) -> None:
    manager.secrets["key/1"] = KEY.encode()
    baked(machine, {"templates/etc/app.key.j2": "{{ attributes['tls-key'] }}"})
    machine.become("member", tls_key="secret://key/1", **METADATA)
    machine.boot()
    assert (machine.root / "etc/app.key").read_text() == KEY
    assert traces_of(machine, KEY.splitlines()[1]) == {"etc/app.key"}


CANNOT_BE_READ = {
    "secret://denied": "secret://denied is denied to app@p.iam.gserviceaccount.com: gcloud",
    "secret://missing/3": "secret://missing/3 does not exist in the project p: there is no",
    "secret://dead/2": "cannot be read: the version 2 is disabled or destroyed: gcloud",
    "secret://binary": "secret://binary is not text in UTF-8",
    "secret:///db-password": "secret:///db-password is malformed: write secret://NAME",
    "secret://db-password/": "secret://db-password/ is malformed",
    "secret://a/b/c": "secret://a/b/c is malformed",
    "secret:/db-password": "secret:/db-password is malformed",
    "secret://": "secret:// is malformed",
    "secret://a/../b": "secret://a/../b is malformed",
}


def test_a_secret_that_cannot_be_read_is_told_with_the_key_and_the_remedy(
    machine: Machine, manager: SecretManager
) -> None:
    manager.secrets |= {"denied/latest": b"x", "dead/2": "DISABLED", "binary/latest": b"\xff\xfe"}
    manager.denied = {"denied"}
    baked(machine)
    for reference, told in CANNOT_BE_READ.items():
        machine.become("member", db_password=reference)
        assert machine.boot().returncode == 1
        assert machine.health["state"] == "unhealthy"
        assert machine.health["detail"].startswith("metadata db-password: ")
        assert told in machine.health["detail"]
        assert len(machine.health["detail"].splitlines()) == 1
        assert not (machine.root / "etc/app.conf").exists()


@pytest.mark.usefixtures("manager")
def test_all_secrets_that_cannot_be_read_are_told_at_once(machine: Machine) -> None:
    baked(machine, {"templates/etc/b.j2": "{{ greeting }}"})
    machine.become("member", db_password="secret://a", greeting="secret://b")
    machine.boot()
    lines = machine.health["detail"].splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "metadata db-password",
        "metadata greeting",
    ]


def test_a_set_up_that_lacks_something_is_told(machine: Machine, manager: SecretManager) -> None:
    baked(machine)
    for reason, told in {
        "SERVICE_DISABLED": "gcloud services enable secretmanager.googleapis.com",
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "the scopes of the instance lack cloud-platform",
    }.items():
        manager.faults = [error(403, "PERMISSION_DENIED", reason)]
        machine.become("member", **METADATA)
        machine.boot()
        assert told in machine.health["detail"]


def test_an_instance_without_a_service_account_is_told(
    machine: Machine, manager: SecretManager
) -> None:
    del machine.own_metadata["service-accounts/default/token"]
    baked(machine).become("member", **METADATA)
    machine.boot()
    assert "the instance has no service account" in machine.health["detail"]
    assert manager.requests == []


@pytest.mark.long
def test_what_passes_is_tried_again(machine: Machine, manager: SecretManager) -> None:
    manager.faults = [error(503, "UNAVAILABLE"), error(429, "RESOURCE_EXHAUSTED")]
    baked(machine).become("member", **METADATA)
    assert machine.boot().returncode == 0
    assert len(manager.requests) == 3
    assert PASSWORD in (machine.root / "etc/app.conf").read_text()


def test_the_token_follows_no_redirect(machine: Machine, manager: SecretManager) -> None:
    with serving(SecretManager()) as elsewhere:
        manager.redirect = f"{elsewhere.endpoint}v1/projects/p/secrets/db-password"
        baked(machine).become("member", **METADATA)
        machine.boot()
        assert elsewhere.requests == []
    assert "Secret Manager answers 307" in machine.health["detail"]


@pytest.mark.usefixtures("manager")
def test_metadata_cannot_say_where_the_token_goes(machine: Machine) -> None:
    with serving(SecretManager()) as elsewhere:
        keys = (ENDPOINT, ENDPOINT.lower(), "endpoint", "GCE_METADATA_HOST")
        others = dict.fromkeys(keys, elsewhere.endpoint)
        baked(machine).become("member", **METADATA, **others)
        machine.project = others
        assert machine.boot().returncode == 0
        assert elsewhere.requests == []


def test_a_secret_of_the_project_that_no_template_uses_is_not_asked_for(
    machine: Machine, manager: SecretManager
) -> None:
    manager.denied = {"others"}
    machine.project = {"others-password": "secret://others"}
    baked(machine).become("member", **METADATA)
    assert machine.boot().returncode == 0
    assert len(manager.requests) == 1


@pytest.mark.usefixtures("manager")
def test_a_template_that_fails_on_a_secret_does_not_tell_it(machine: Machine) -> None:
    baked(machine, {"templates/etc/b.j2": "{{ {}[db_password] }}"})
    machine.become("member", **METADATA)
    machine.boot()
    assert machine.health["detail"].startswith("etc/b.j2:1: 'dict object' has no attribute")
    assert "***" in machine.health["detail"]
    assert traces_of(machine, PASSWORD) == set()


TEMPLATE = (
    "# {{ greeting }}\nurl=db://app:{{ db_password }}@db\n"
    "basic={{ ('app:' ~ db_password) | upper }}\nlength={{ db_password | length }}\n"
)


def test_a_diff_shows_no_line_that_has_something_of_a_secret(
    machine: Machine, manager: SecretManager
) -> None:
    """Neither of the value of now nor of that of before, whatever a template makes of it."""
    baked(
        machine, {"templates/etc/app.conf.j2": TEMPLATE, "templates/etc/b.j2": "{{ greeting }}\n"}
    )
    machine.become("member", greeting="hello", **METADATA)
    machine.boot()
    manager.secrets["db-password/latest"] = b"Tr0ub4dor"
    machine.change(greeting="goodbye")
    said = machine.run(render_order(machine)).stdout
    assert "+# goodbye" in said
    assert "-# hello" in said
    assert "-hello\n+goodbye" in said
    for secret in (PASSWORD, PASSWORD.upper(), "Tr0ub4dor", "TR0UB4DOR", "length="):
        assert secret not in said
    assert "url=db://app:Tr0ub4dor@db" in (machine.root / "etc/app.conf").read_text()


def test_a_secret_that_alone_has_changed_is_told_as_that(
    machine: Machine, manager: SecretManager
) -> None:
    baked(machine).become("member", **METADATA)
    machine.boot()
    manager.secrets["db-password/latest"] = b"Tr0ub4dor"
    said = machine.run(render_order(machine)).stdout
    assert said.splitlines() == ["--- /etc/app.conf", "+++ /etc/app.conf", "(only a secret)"]


def test_a_secret_that_is_denied_later_changes_no_file_and_is_told(
    machine: Machine, manager: SecretManager
) -> None:
    baked(machine).become("member", **METADATA)
    machine.boot()
    manager.denied = {"db-password"}
    done = machine.run(render_order(machine))
    assert done.returncode == 1
    assert done.stdout.startswith("metadata db-password: secret://db-password is denied to app@p")
    assert PASSWORD in (machine.root / "etc/app.conf").read_text()


def render_order(machine: Machine) -> str:
    """What the order `render` runs, without the wait for the order."""
    work, library = machine.root / "run/bakehouse", machine.root / "usr/lib/bakehouse"
    (work / "now.json").write_text(json.dumps(machine.instance()))
    (work / "project-now.json").write_text(json.dumps(machine.project))
    names = {
        "templates": library / "templates",
        "image": machine.root / "etc/bakehouse/image.json",
        "instance": work / "now.json",
        "project": work / "project-now.json",
        "instance-before": work / "instance.json",
        "project-before": work / "project.json",
        "root": f"{machine.root}{os.sep}",
        "changed": work / "changed",
    }
    options = " ".join(f"--{name} '{path}'" for name, path in names.items())
    return f"python3 -I '{library}/config_changes.py' {options}\n"
