"""gcloud as a client: everyday commands, and its messages for rejected requests."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

from .gce import ZONE, Gce

GCLOUD = shutil.which("gcloud")
RUNNER = Path(__file__).parent / "gcloud_runner.py"
pytestmark = [
    pytest.mark.skipif(GCLOUD is None, reason="gcloud is not installed"),
    pytest.mark.timeout(600),
]
Gcloud = Callable[..., Any]
BARE = ("--no-service-account", "--no-scopes")


class GcloudError(Exception):
    """gcloud's standard error."""


@pytest.fixture(scope="module")
def runner(instant: Gce, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Popen[str]]:
    """One gcloud process for all commands, which it runs in forks."""
    root = Path(str(GCLOUD)).resolve().parents[1]
    python = root / "platform/bundledpythonunix/bin/python3"
    settings = {
        "CLOUDSDK_CONFIG": str(tmp_path_factory.mktemp("gcloud")),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": "demo",
        "CLOUDSDK_COMPUTE_ZONE": ZONE,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{instant.base}/compute/v1/",
    }
    command = [python if python.exists() else "python3", "-S", RUNNER, root / "lib"]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=os.environ | settings) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def gcloud(runner: Popen[str]) -> Gcloud:
    """`gcloud compute ... --format=json` on the session's server; its JSON, or GcloudError."""

    def run(*words: str) -> Any:
        assert runner.stdin is not None
        assert runner.stdout is not None
        runner.stdin.write(json.dumps(["compute", *words, "--format=json"]) + "\n")
        runner.stdin.flush()
        status, out, err = json.loads(runner.stdout.readline())
        if status:
            raise GcloudError(err)
        assert "Some requests did not succeed" not in err, err
        lines = out.splitlines(keepends=True)
        while lines and lines[0][0] not in "[{":  # some commands print messages first
            lines.pop(0)
        return json.loads("".join(lines) or "null")

    return run


def test_a_vm_from_start_to_end(gcloud: Gcloud, name: str, tmp_path: Path) -> None:
    script = tmp_path / "startup.sh"
    script.write_text("#!/bin/sh\necho hello\n")
    (made,) = gcloud(
        *("instances", "create", name, "--image-family=debian-12"),
        *("--image-project=debian-cloud", "--machine-type=e2-small"),
        *(f"--metadata-from-file=startup-script={script}", "--metadata=instant-script=serial hi"),
        *("--labels=of=gcloud", "--tags=web"),
    )
    assert made["status"] == "RUNNING"
    items = {item["key"]: item["value"] for item in made["metadata"]["items"]}
    assert items["startup-script"] == script.read_text()
    assert [v["name"] for v in gcloud("instances", "list", f"--filter=name={name}")] == [name]
    assert "hi" in gcloud("instances", "get-serial-port-output", name)["contents"]
    with pytest.raises(GcloudError, match="not found"):
        gcloud("instances", "get-guest-attributes", name, "--query-path=bake/")
    gcloud("instances", "stop", name)
    more = "enable-guest-attributes=TRUE,instant-script=attribute bake/result ok"
    gcloud("instances", "add-metadata", name, f"--metadata={more}")
    assert gcloud("instances", "describe", name)["status"] == "TERMINATED"
    gcloud("instances", "start", name)
    (said,) = gcloud("instances", "get-guest-attributes", name, "--query-path=bake/")
    assert (said["key"], said["value"]) == ("result", "ok")
    gcloud("instances", "suspend", name)
    gcloud("instances", "resume", name)
    gcloud("instances", "reset", name)
    with pytest.raises(GcloudError, match="already exists"):
        gcloud("instances", "create", name, *BARE)
    gcloud("instances", "delete", name, "--keep-disks=boot")
    assert gcloud("disks", "describe", name)["status"] == "READY"
    with pytest.raises(GcloudError, match="was not found"):
        gcloud("instances", "describe", name)


def test_several_vms_go_in_one_batch(gcloud: Gcloud, name: str) -> None:
    spot = ("--provisioning-model=SPOT", "--instance-termination-action=DELETE")
    names = (f"{name}-1", f"{name}-2")
    made = gcloud("instances", "create", *names, *spot, "--max-run-duration=1h", *BARE)
    assert {vm["name"] for vm in made} == set(names)
    assert {vm["scheduling"]["provisioningModel"] for vm in made} == {"SPOT"}
    gcloud("instances", "stop", *names)
    gcloud("instances", "delete", *names)


def test_images_and_families(gcloud: Gcloud, instant: Gce, name: str) -> None:
    instant.create(name)
    family = f"f-{name}"
    source = (f"--source-disk={name}", f"--source-disk-zone={ZONE}", f"--family={family}")
    with pytest.raises(GcloudError, match="already being used"):
        gcloud("images", "create", f"{name}-a", *source)
    (first,) = gcloud("images", "create", f"{name}-a", *source, "--force", "--labels=git-sha=abc")
    assert (first["status"], first["labels"]) == ("READY", {"git-sha": "abc"})
    copy = (f"--source-image={name}-a", f"--family={family}")
    gcloud("images", "create", f"{name}-b", *copy)
    gcloud("images", "add-labels", f"{name}-b", "--labels=state=promoted")
    newest = gcloud("images", "describe-from-family", family)
    assert (newest["name"], newest["labels"]) == (f"{name}-b", {"state": "promoted"})
    own = gcloud("images", "list", "--no-standard-images", f"--filter=family={family}")
    assert {image["name"] for image in own} == {f"{name}-a", f"{name}-b"}
    replacement = f"--replacement={name}-a"
    gcloud("images", "deprecate", f"{name}-b", "--state=DEPRECATED", replacement)
    assert gcloud("images", "describe-from-family", family)["name"] == f"{name}-a"
    assert any(image["family"] == "debian-12" for image in gcloud("images", "list"))
    gcloud("images", "delete", f"{name}-a", f"{name}-b")
    with pytest.raises(GcloudError, match="was not found"):
        gcloud("images", "describe-from-family", family)


def test_groups_and_their_rollouts(gcloud: Gcloud, name: str) -> None:
    image = ("--image-family=debian-12", "--image-project=debian-cloud")
    old, new = f"{name}-t1", f"{name}-t2"
    gcloud("instance-templates", "create", old, *image, "--machine-type=e2-small")
    gcloud("instance-templates", "create", new, *image, "--machine-type=e2-medium")
    groups = ("instance-groups", "managed")
    gcloud(*groups, "create", name, "--size=2", f"--template={old}")
    gcloud(*groups, "wait-until", name, "--stable", "--timeout=300")
    update = ("rolling-action", "start-update", name, f"--version=template={new}")
    gcloud(*groups, *update, "--max-surge=1", "--max-unavailable=0")
    gcloud(*groups, "wait-until", name, "--version-target-reached", "--timeout=300")
    members = gcloud(*groups, "list-instances", name)
    assert {m["version"]["instanceTemplate"].rsplit("/", 1)[1] for m in members} == {new}
    gcloud(*groups, "rolling-action", "replace", name, "--max-unavailable=2")
    gcloud(*groups, "wait-until", name, "--version-target-reached", "--timeout=300")
    replaced = gcloud(*groups, "list-instances", name)
    assert {m["name"] for m in members}.isdisjoint({m["name"] for m in replaced})
    gcloud(*groups, "set-instance-template", name, f"--template={new}")
    gcloud(*groups, "resize", name, "--size=1")
    gcloud(*groups, "wait-until", name, "--stable", "--timeout=300")
    (listed,) = gcloud(*groups, "list", f"--filter=name={name}")
    assert (listed["targetSize"], listed["autoscaled"]) == (1, "no")
    assert gcloud(*groups, "list-errors", name) == []
    with pytest.raises(GcloudError, match="already being used"):
        gcloud("instance-templates", "delete", new)
    gcloud(*groups, "delete", name)
    gcloud("instances", "create", f"{name}-x", f"--source-instance-template={old}")
    gcloud("instances", "delete", f"{name}-x")


def test_rejections_and_failures_are_reported(gcloud: Gcloud, instant: Gce, name: str) -> None:
    with pytest.raises(GcloudError, match="does not exist in zone"):
        gcloud("instances", "create", name, "--machine-type=e9-huge", *BARE)
    rule = {"kind": "operation", "resource": name, "status": 503}
    instant.admin("POST", "faults", {**rule, "code": "ZONE_RESOURCE_POOL_EXHAUSTED"})
    with pytest.raises(GcloudError, match="ZONE_RESOURCE_POOL_EXHAUSTED"):
        gcloud("instances", "create", name, *BARE)
    operations = gcloud("operations", "list", f"--filter=targetLink:{name}")
    assert operations[0]["httpErrorStatusCode"] == 503
