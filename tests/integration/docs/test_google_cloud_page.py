"""docs/google-cloud.md, followed word by word: gcloud's commands against localgce, or its parser.

Commands of Compute Engine are run with gcloud against localgce. The others (services, IAM, storage,
secrets, keys) have no server here: gcloud's own parser says whether it knows each command and flag.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.support.connections import Served, served_from
from tests.support.google_cloud_page import noted, script

from bakehouse.config.project import all_mistakes
from bakehouse.config.settings_values import wrong_connection, wrong_extra, wrong_variable
from devstack.serving import GCE_PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.gce_api import Compute

GCLOUD = shutil.which("gcloud")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed"),
    pytest.mark.timeout(900),
]
REGION = "regions/us-central1"
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
}


class Followed:
    """What came of following the page once."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.compute, self.folder = served.compute, folder
        self.commands: list[list[str]] = []
        self._follow(served.url)

    def _follow(self, url: str) -> None:
        notes = self.folder / "notes"
        environment = {
            **os.environ,
            **IDENTITY,
            **gcloud_environment(self.folder),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{url}/compute/v1/",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GCLOUD": str(GCLOUD),
            "NOTES": str(notes),
        }
        done = subprocess.run(
            ["bash", "-c", script(GCE_PROJECT)],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.commands = noted(notes.read_text())

    def of(self, *words: str) -> list[list[str]]:
        """The commands that begin with these words."""
        return [command for command in self.commands if command[: len(words)] == list(words)]


def gcloud_environment(folder: Path) -> dict[str, str]:
    return {
        "CLOUDSDK_CONFIG": str(folder / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
    }


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    with served_from(tmp_path_factory.mktemp("localgce")) as served:
        yield Followed(served, tmp_path_factory.mktemp("page"))


def get(compute: Compute, path: str) -> Any:
    return compute.call("GET", path)


def test_the_network_is_as_the_page_says_and_has_no_public_address(followed: Followed) -> None:
    compute = followed.compute
    network = get(compute, "global/networks/bakehouse")
    assert network["autoCreateSubnetworks"] is False
    subnetwork = get(compute, f"{REGION}/subnetworks/bakehouse")
    assert subnetwork["network"] == network["selfLink"]
    assert subnetwork["ipCidrRange"] == "10.128.0.0/20"
    assert subnetwork["privateIpGoogleAccess"] is True
    router = get(compute, f"{REGION}/routers/bakehouse")
    assert router["network"] == network["selfLink"]
    (nat,) = router["nats"]
    assert nat["natIpAllocateOption"] == "AUTO_ONLY"
    assert nat["sourceSubnetworkIpRangesToNat"] == "ALL_SUBNETWORKS_ALL_IP_RANGES"


def test_gcloud_knows_every_other_command_of_the_page_and_its_flags(
    followed: Followed, tmp_path: Path
) -> None:
    others = [c for c in followed.of("gcloud") if c[1] != "compute"]
    assert {command[1] for command in others} == {
        *("services", "iam", "projects", "storage", "secrets", "kms")
    }
    file = tmp_path / "commands.json"
    file.write_text(json.dumps([{"command_string": shlex.join(command)} for command in others]))
    done = subprocess.run(
        [str(GCLOUD), "meta", "lint-gcloud-commands", f"--commands-file={file}"],
        cwd=tmp_path,  # the parser opens the file of a key that the command would write
        env={**os.environ, **gcloud_environment(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = {one["command_string"]: one["error_message"] for one in json.loads(done.stdout)
             if not one["success"]}  # fmt: skip
    assert wrong == {}
    assert len(json.loads(done.stdout)) == len(others)


def test_each_role_is_created_from_the_file_that_the_command_has_written(
    followed: Followed,
) -> None:
    created = {c[4]: c[-1].partition("=")[2] for c in followed.of("gcloud", "iam", "roles")}
    assert "bakehouseOrchestrator" in created
    for role, file in created.items():
        definition = yaml.safe_load((followed.folder / file).read_text())
        assert definition["includedPermissions"], role


def test_the_project_of_the_page_is_valid_and_has_its_network_and_accounts(
    followed: Followed,
) -> None:
    include = followed.folder / "images" / "include"
    assert all_mistakes(include) == []
    recipe = yaml.safe_load((include / "recipes/web.yaml").read_text())
    fleet = yaml.safe_load((include / "fleets/web.yaml").read_text())
    builder, template = recipe["builder"], fleet["template"]
    assert builder == {
        "zones": ["us-central1-a"],
        "subnetwork": "bakehouse",
        "service_account": f"bakehouse-builder@{GCE_PROJECT}.iam.gserviceaccount.com",
    }
    assert template["subnetwork"] == "bakehouse"
    assert template["service_account"].startswith("bakehouse-member@")
    assert fleet["members"]["zones"] == ["us-central1-a"]


def test_bakehouse_accepts_the_connections_and_the_variable_of_the_page(
    followed: Followed,
) -> None:
    added = followed.of("airflow", "connections", "add")
    assert [command[3] for command in added] == ["google_cloud_default"] * 3 + ["bakehouse_repo"]
    for _, _, _, name, *options in added:
        given = dict(option.removeprefix("--").split("=", 1) for option in options)
        extra = json.loads(given.get("conn-extra", "{}"))
        form = {"conn_type": given["conn-type"], "extra": extra}
        assert wrong_connection(name, json.dumps(form)) is None
        assert list(wrong_extra(given["conn-type"], extra)) == []
    (variable,) = followed.of("airflow", "variables", "set")
    assert wrong_variable(*variable[3:]) is None
