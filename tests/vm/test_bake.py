"""The bake on real machines: what the page shows, only a booted machine can tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from bakehouse.history.sbom import parse_sbom
from bakehouse.images.links import zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.history.manifest import Manifest
    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

HOUR = 3600.0  # seconds
DEBIAN = {  # by its mirror list
    "debian": "https://deb.debian.org/debian",
    "debian-security": "https://deb.debian.org/debian-security",
}
SCRIPTS = "include/startup_scripts/web"
PREPARE = """\
grep -q '^URIs: mirror+file:///etc/apt/mirrors/debian.list$' /etc/apt/sources.list.d/debian.sources
echo "prepared before $(ls /var/lib/apt/lists | wc -l) lists were read"
"""
HELPER = '#!/bin/bash\necho "helper ran in $PWD; /run is $(findmnt -no OPTIONS /run)"\n'
# What a builder is to a script, on a machine with an initramfs, dpkg, systemd and a kernel.
EXPECTATIONS = """
./helper
apt-get install --no-install-recommends systemd-resolved
test -L /etc/resolv.conf
getent hosts deb.debian.org

mkdir -p /root/deb/DEBIAN /root/deb/etc
printf '%s\\n' 'Package: tool' 'Version: 1.0' 'Architecture: all' 'Description: x' \
  'Maintainer: A <a@example.org>' >/root/deb/DEBIAN/control
echo /etc/tool.conf >/root/deb/DEBIAN/conffiles
echo theirs=1 >/root/deb/etc/tool.conf
dpkg-deb --build /root/deb /root/tool.deb
echo ours=1 >/etc/tool.conf
env -i PATH="$PATH" dpkg -i /root/tool.deb
grep -qx ours=1 /etc/tool.conf
getent hosts security.debian.org
rm -r /root/deb /root/tool.deb

test -e "/boot/vmlinuz-$BAKEHOUSE_KERNEL"
served() { curl --silent --retry 9 --retry-connrefused --output /dev/null http://127.0.0.1:8080/; }
with_service nginx served
if systemctl is-active --quiet nginx; then exit 1; fi
echo every expectation is met
"""
SMOKE = """
linked() { [[ $(readlink /etc/resolv.conf) == ../run/systemd/resolve/stub-resolv.conf ]]; }
unsettled() {
  for file in /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/99bakehouse /etc/sudoers.d/bakehouse \
    /etc/dpkg/dpkg.cfg.d/bakehouse /var/lib/bakehouse/payload; do
    if [[ -e $file ]]; then return 1; fi
  done
  ! grep -i '^Frontend' /etc/debconf.conf
}
printf '#!/bin/sh\\n' >helper
chmod +x helper
check "what a test writes runs" "guest/place.sh" ./helper
check "resolv.conf is the package's" "guest/builder.sh" linked
check "the image is no builder" "guest/builder.sh" unsettled
"""

# One unit of each kind; kv is active long before it listens, and is an alias.
RECIPE = "include/recipes/web.yaml"
SERVICES = """\
services: [nginx, kv, once, idle, worker@one]
ready:
  http: { port: 8080 }
  tcp: 9090
image:
  remove_files: [/var/lib/app/node-id]
  shared_files: [/etc/app/cluster.key]
"""
HEALTH = """\
#!/bin/bash
# Healthy: the page is served, and it is this image's own.
set -Eeuo pipefail
[[ $(</etc/bakehouse/image.json) =~ \\"git_sha\\":\\ \\"([0-9a-f]+)\\" ]]
[[ $(curl --silent --show-error --fail --noproxy '*' --max-time 5 \\
  http://127.0.0.1:8080/bakehouse.json) == *"${BASH_REMATCH[1]}"* ]]
"""
UNITS = """
unit() { printf '%s\\n' "${@:2}" '[Install]' WantedBy=multi-user.target >"/etc/systemd/system/$1"; }
unit kv-server.service '[Service]' \
  'ExecStart=/usr/bin/python3 -c "import time, http.server as s; time.sleep(3); s.test(port=9090)"'
echo Alias=kv.service >>/etc/systemd/system/kv-server.service
unit once.service '[Service]' Type=oneshot 'ExecStart=/usr/bin/touch /run/once'
unit idle.socket '[Socket]' ListenStream=/run/idle.socket
unit idle.service '[Unit]' Requires=idle.socket '[Service]' ExecStart=/bin/true
unit worker@.service '[Service]' 'ExecStart=/bin/sleep infinity' 'SyslogIdentifier=worker-%i'
systemctl enable kv-server.service

apt-get install --no-install-recommends ssl-cert
mkdir -p /etc/app /var/lib/app /root/.ssh
cp /etc/ssl/private/ssl-cert-snakeoil.key /etc/app/cluster.key
sha256sum /etc/ssl/private/ssl-cert-snakeoil.key >/etc/app/of-the-builder
echo ssh-ed25519 AAAA me >/root/.ssh/authorized_keys
cat /proc/sys/kernel/random/uuid >/var/lib/app/node-id
hostname >/etc/mailname
"""
SECOND_MACHINE = """
own() {
  [[ -s /etc/ssl/private/ssl-cert-snakeoil.key && -s /etc/mailname && -s /etc/app/cluster.key ]] ||
    return 1
  [[ ! -e /root/.ssh/authorized_keys && ! -e /var/lib/app/node-id ]] || return 1
  ! sha256sum --check --quiet /etc/app/of-the-builder
}
dies() {
  mkdir -p root/usr/lib/bakehouse root/proc
  ln -s /proc/uptime root/proc/uptime
  echo dies >root/usr/lib/bakehouse/services
  printf '%s\\n' '[Service]' 'ExecStart=/bin/sh -c "echo no such port; sleep 1; exit 3"' \
    >/run/systemd/system/dies.service
  systemctl daemon-reload
  systemctl start dies
  if said=$(BAKEHOUSE_ROOT=$PWD/root /usr/lib/bakehouse/ready --watch); then return 1; fi
  echo "$said"
  [[ $said == 'dies.service has failed (exit-code, exit code 3)'*'no such port'* ]]
}
check "it has its own identity" "guest/identity.sh" own
check "other units have run" "systemctl status once" test -e /run/once
check "its alias is there" "guest/bake.sh.j2" systemctl is-active --quiet kv.service
check "a service that dies is told" "guest/ready.sh" dies
"""


@pytest.fixture
def exacting_web(bed: Testbed) -> Iterator[None]:
    """The recipe `web` expects more of its builder, for one test."""
    texts = {
        name: (bed.project / SCRIPTS / name).read_text()
        for name in ("install.sh.j2", "smoke_test.sh")
    }
    recipe = (bed.project / RECIPE).read_text()
    services = "services: [nginx]\nready:\n  http: { port: 8080, path: /bakehouse.json }\n"
    assert services in recipe
    bed.write(RECIPE, recipe.replace(services, SERVICES))
    bed.write(f"{SCRIPTS}/prepare.sh.j2", PREPARE)
    bed.write(f"{SCRIPTS}/helper", HELPER, 0o755)
    bed.write(f"{SCRIPTS}/health", HEALTH, 0o755)
    bed.write(f"{SCRIPTS}/install.sh.j2", texts["install.sh.j2"] + EXPECTATIONS + UNITS)
    bed.write(f"{SCRIPTS}/smoke_test.sh", texts["smoke_test.sh"] + SMOKE + SECOND_MACHINE)
    bed.commit("Expect more of a builder")
    yield
    for name in ("prepare.sh.j2", "helper", "health"):
        (bed.project / SCRIPTS / name).unlink()
    for name, text in texts.items():
        bed.write(f"{SCRIPTS}/{name}", text)
    bed.write(RECIPE, recipe)
    bed.commit("Expect less again")


@pytest.mark.ci
@pytest.mark.usefixtures("exacting_web")
def test_a_real_machine_is_baked_booted_and_promoted(bed: Testbed) -> None:
    bed.compute.fault(kind="operation", method="compute.instances.insert", code="STOCKOUT")
    run_id = bed.airflow.trigger("bake__web", {"git_ref": bed.head, "spot": "yes"})
    first = the_first_builder_is_preempted(bed, run_id)
    run = bed.airflow.wait("bake__web", run_id, deadline=HOUR)

    assert run.state == "success", bed.explain(run)
    assert zone_of(first) == "us-central1-b"
    assert "trying the next zone" in bed.log(run, "create_builder")
    built = bed.airflow.xcom("bake__web", run_id, "wait_for_shutdown")["builder"]
    assert built["zone"] != zone_of(first), "another one, elsewhere"
    assert "the spot VM was preempted" in bed.log(run, "wait_for_shutdown")

    the_builder_was_what_install_expects(bed.log(run, "wait_for_shutdown"))
    what_is_each_machines_own_is_not_in_the_image(bed, run)
    image = bed.compute.newest_of("web")
    assert image["status"] == "READY"
    assert image["labels"]["git-sha"] == bed.head
    assert int(image["labels"]["packages"]) > 100
    assert bed.left() == []

    the_sbom_is_true(bed, run, image)
    a_second_night_costs_nothing(bed, image)


def the_first_builder_is_preempted(bed: Testbed, run_id: str) -> dict[str, Any]:
    """The machine, as it was when it was taken away, while it was waited for."""
    bed.airflow.wait_for_task("bake__web", run_id, "wait_for_shutdown", ["deferred"], 900)
    (found,) = bed.compute.instances()
    assert found["scheduling"]["provisioningModel"] == "SPOT"
    bed.compute.fault(kind="preempt", instance=found["name"])
    return found


def the_builder_was_what_install_expects(log: str) -> None:
    assert "helper ran in /var/lib/bakehouse/payload/recipe; /run is " in log
    assert "noexec" in log.partition("/run is ")[2].splitlines()[0]
    assert "every expectation is met" in log
    assert "prepared before" in log


def what_is_each_machines_own_is_not_in_the_image(bed: Testbed, run: Run) -> None:
    log = bed.log(run, "wait_for_shutdown")
    for path in ("/etc/mailname", "/etc/ssl/private/ssl-cert-snakeoil.key", "/var/lib/app/node-id"):
        assert f"not in the image: {path} " in log
    verdict = bed.airflow.xcom(run.dag_id, run.run_id, "smoke_test")
    assert "a service that dies is told" in {check["name"] for check in verdict["checks"]}
    assert "each machine has its own identity" not in {check["name"] for check in verdict["checks"]}


def the_sbom_is_true(bed: Testbed, run: Run, image: dict[str, Any]) -> None:
    """Against what apt and the kernels of the machines have said on their serial ports."""
    file = bed.stack.layout.airflow_home / f"ledger/manifests/{image['name']}.spdx.json"
    text = file.read_text()
    document = JsonLikeDictParser().parse(json.loads(text))
    assert validate_full_spdx_document(document, "SPDX-2.3") == []
    manifest = parse_sbom(text).manifest
    versions = {package.name: package.version for package in manifest.packages}
    assert len(manifest.packages) == int(image["labels"]["packages"])
    assert {"libc6", "systemd", "python3-jinja2", "google-guest-agent"} <= versions.keys()
    installed = re.findall(r"Unpacking (\S+) \((\S+)\)", bed.log(run, "wait_for_shutdown"))
    unpacked = {name.partition(":")[0]: version for name, version in installed}
    assert "nginx-light" in unpacked
    assert unpacked.items() <= versions.items()
    the_files_are_told(manifest, image, bed.log(run, "smoke_test"))


def the_files_are_told(manifest: Manifest, image: dict[str, Any], smoke_log: str) -> None:
    files = manifest.files
    assert files.kernel is not None
    assert f"Linux version {files.kernel} " in smoke_log, "the kernel that the image has booted"
    assert image["labels"]["kernel"] == re.sub(r"[^a-z0-9_-]", "-", files.kernel)
    assert files.os == ("debian", "12")
    assert {"bakehouse-boot.service", "google-guest-agent.service"} <= set(files.enabled)
    assert "nginx.service" not in files.enabled, "it starts once its config is rendered"
    assert files.started == ("idle", "kv-server", "nginx", "once", "worker@one")
    assert files.used_bytes is not None
    assert files.size_bytes is not None
    assert 3e8 < files.used_bytes < files.size_bytes
    assert manifest.sources is not None
    assert {source.component for source in manifest.sources} >= {"main"}
    lists = {source.uri for source in manifest.sources}
    assert lists == {f"mirror+file:/etc/apt/mirrors/{name}.list" for name in DEBIAN}
    assert {(mirror.of, mirror.url) for mirror in manifest.mirrors} == {
        (f"mirror+file:/etc/apt/mirrors/{name}.list", url) for name, url in DEBIAN.items()
    }
    assert {"bookworm", "bookworm-security"} <= {source.suite for source in manifest.sources}


def a_second_night_costs_nothing(bed: Testbed, image: dict[str, Any]) -> None:
    """Its packages are the newest that the archive has, which is asked for real."""
    bed.compute.forget()
    again = bed.bake("bake__web", deadline=HOUR, git_ref=bed.head)
    assert again.state == "success", bed.explain(again)
    plan = bed.airflow.xcom(again.dag_id, again.run_id, "plan_bake")
    assert plan["bake"] is False, plan["updates"]
    assert plan["existing_image"] == image["name"]
    assert (plan["updates"]["found"], plan["updates"]["unread"]) == ([], [])
    assert plan["updates"]["indexes"] >= 3
    told = bed.compute.requests()
    asked = told["requests"] if isinstance(told, dict) else told
    assert not [r["method"] for r in asked if r["method"].endswith(".insert")]
