"""What tells one machine from another is not in an image, or the smoke test names it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.recipe.guest_scripts import guest_scripts

from .conftest import NONCE, Machine, rendered_app

if TYPE_CHECKING:
    from bakehouse.recipe.render import Rendered

KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n" * 2
PER_MACHINE = [
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/iscsi/initiatorname.iscsi",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "etc/mailname",
    "etc/bind/rndc.key",
    "etc/dropbear/dropbear_rsa_host_key",
    "etc/ssh/ssh_host_ed25519_key",
    "root/.ssh/authorized_keys",
    "home/ops/.ssh/authorized_keys",
    "var/lib/mysql/auto.cnf",
    "var/lib/mysql/server-key.pem",
    "etc/salt/minion_id",
    "etc/salt/pki/minion/minion.pem",
    "etc/puppetlabs/puppet/ssl/private_keys/builder.pem",
    "etc/chef/client.pem",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "boot/efi/loader/random-seed",
    "var/lib/NetworkManager/secret_key",
    "var/lib/zerotier-one/identity.secret",
    "var/lib/glusterd/glusterd.info",
    "var/lib/nfs/state",
    "etc/docker/key.json",
    "var/lib/docker/engine-id",
    "var/lib/kubelet/pki/kubelet.key",
    "var/lib/rancher/k3s/server/tls/client-ca.key",
    "etc/rancher/node/password",
    "opt/consul/node-id",
    "var/lib/tailscale/tailscaled.state",
    "var/lib/snmp/snmpd.conf",
    "var/lib/rabbitmq/.erlang.cookie",
    "var/lib/postfix/prng_exch",
    "var/lib/chrony/chrony.drift",
    "var/lib/cloud/instances/i-1/user-data.txt",
    "var/lib/dkms/mok.key",
    "var/lib/samba/private/secrets.tdb",
    "var/lib/dbus/machine-id",
]
OF_THE_CASE = [
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/iscsi/initiatorname.iscsi",
    "var/lib/mysql/auto.cnf",
    "etc/salt/minion_id",
    "etc/nvme/hostid",
    "etc/mailname",
    "root/.ssh/authorized_keys",
    "etc/netplan/50-cloud-init.yaml",
]


def installing(**files: str) -> str:
    """An install.sh that writes files below /; `__` is `/` in their names."""
    return "".join(
        f"install -D /dev/stdin \"$BAKEHOUSE_ROOT/{name}\" <<'END'\n{text}\nEND\n"
        for name, text in files.items()
    )


def writing(*paths: str, text: str = "of the builder") -> str:
    return installing(**dict.fromkeys(paths, text))


def baked(
    machine: Machine, install: str, files: dict[str, str] | None = None, **fields: Any
) -> Any:
    rendered = rendered_app({"install.sh.j2": install, **(files or {})}, **fields)
    done = machine.bake(rendered)
    assert machine.result["result"] == "ok", (machine.result, done.stdout, done.stderr)
    return rendered


def found(machine: Machine, rendered: Rendered) -> str:
    """What the smoke test of the image says of it."""
    machine.become("smoke")
    machine.boot()
    machine.smoke(rendered)
    told = json.loads(machine.guest_attributes["smoke"])
    checks = [check for check in told["checks"] if not check["ok"]]
    assert (told["result"] == "failed") == bool(checks)
    assert {"nonce": NONCE, **told} in machine.said
    assert all(check["name"] == "each machine has its own identity" for check in checks)
    return "".join(check["detail"] for check in checks)


def there(machine: Machine, paths: list[str]) -> list[str]:
    return [path for path in paths if (machine.root / path).is_file()]


@pytest.mark.long
def test_what_packages_make_once_per_machine_is_not_in_the_image(machine: Machine) -> None:
    rendered = baked(machine, writing(*PER_MACHINE))
    assert there(machine, [p for p in PER_MACHINE if "dbus" not in p]) == []
    assert (machine.root / "var/lib/dbus/machine-id").is_symlink()
    assert found(machine, rendered) == ""


def test_what_cannot_be_made_again_is_named_by_its_path(machine: Machine) -> None:
    rendered = baked(machine, writing(*OF_THE_CASE))
    assert there(machine, OF_THE_CASE) == ["etc/netplan/50-cloud-init.yaml"]
    detail = found(machine, rendered)
    assert detail == (
        "/etc/netplan/50-cloud-init.yaml is made by cloud-init, which is not installed"
    )


def test_what_cloud_init_makes_again_is_removed_where_it_is_installed(machine: Machine) -> None:
    (machine.root / "usr/bin").mkdir(parents=True)
    (machine.root / "usr/bin/cloud-init").touch(0o755)
    rendered = baked(machine, writing(*OF_THE_CASE))
    assert there(machine, OF_THE_CASE) == []
    assert found(machine, rendered) == ""


def test_the_log_of_the_bake_says_what_it_removes(machine: Machine) -> None:
    rendered = rendered_app({"install.sh.j2": writing("etc/mailname")})
    assert "not in the image: /etc/mailname (is made once per machine)" in (
        machine.bake(rendered).stdout
    )


BUILDER = {
    "name": "bake-app-20261123t0300-0a1b",
    "id": "5471043853847584101",
    "network-interfaces/0/mac": "42:01:0a:80:00:05",
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/postfix/main.cf", f"myhostname = {BUILDER['name']}.c.project.internal"),
        ("etc/exim4/update-exim4.conf.conf", f"dc_other_hostnames='{BUILDER['name'].upper()}'"),
        ("var/lib/app/instance", BUILDER["id"]),
        ("etc/netplan/01-net.yaml", f"macaddress: {BUILDER['network-interfaces/0/mac']}"),
        ("etc/app/node", "id=0123456789abcdef0123456789abcdef"),  # the builder's machine-id
        ("var/lib/app/binary", f"\x01\x02{BUILDER['id']}\x03"),
        ("srv/app/config", BUILDER["name"]),
        (f"var/lib/rabbitmq/mnesia/rabbit@{BUILDER['name']}/x", "x"),
    ],
)
def test_a_file_that_names_the_builder_is_told(machine: Machine, path: str, text: str) -> None:
    machine.own_metadata = BUILDER
    (machine.root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    rendered = baked(machine, installing(**{path: text}))
    assert found(machine, rendered).startswith(f"/{path} ")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/app/tls/server.key", KEY),
        ("etc/app/rsa.pem", KEY.replace("PRIVATE", "RSA PRIVATE")),
        ("root/.ssh/id_ed25519", KEY.replace("PRIVATE", "OPENSSH PRIVATE")),
        ("opt/vault/tls/tls.key", KEY),
        ("etc/openvpn/easy-rsa/pki/private/ca.key", KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")),
        ("var/lib/app/account.json", '{"private_key": "' + KEY.replace("\n", "\\n") + '"}'),
        ("etc/wireguard/wg0.conf", f"[Interface]\nPrivateKey = {'a' * 43}="),
        ("etc/kubernetes/kubelet.conf", f"  client-key-data: {'b' * 60}"),
        ("etc/app/store.p12", "binary"),
        ("etc/krb5.keytab", "binary"),
        ("etc/mysql/debian.cnf", "password = x"),
        ("etc/munge/munge.key", "binary"),
    ],
)
def test_a_private_key_is_told(machine: Machine, path: str, text: str) -> None:
    rendered = baked(machine, installing(**{path: text}))
    assert found(machine, rendered).startswith(f"/{path} is ")


def test_keys_that_are_meant_are_not_told(machine: Machine) -> None:
    """A package's, an archive's, the recipe's own, a library's, a listed one, and what is none."""
    lists = machine.root / "var/lib/dpkg/info"
    lists.mkdir(parents=True)
    (lists / "app.list").write_text("/etc/app/shipped.key\n")
    install = writing(
        "etc/app/shipped.key",
        "etc/app/cluster.key",
        "srv/keys/a/b.key",
        "opt/app/node_modules/tls/server.key",
        "usr/local/lib/python3/site-packages/x/test.pem",
        text=KEY,
    )
    install += writing("usr/local/go/src/crypto/root_key.pem", text=KEY)
    install += 'touch -d 2024-01-01 "$BAKEHOUSE_ROOT/usr/local/go/src/crypto/root_key.pem"\n'
    install += installing(**{"etc/app/README": "begins with -----BEGIN PRIVATE KEY-----"})
    install += 'install -D own.key "$BAKEHOUSE_ROOT/etc/app/own.key"\n'
    shared = ["/etc/app/cluster.key", "/srv/keys"]
    rendered = baked(machine, install, {"own.key": KEY}, image={"shared_files": shared})
    assert found(machine, rendered) == ""


FROM_METADATA = [
    "etc/boto.cfg",
    "etc/default/instance_configs.cfg",
    "root/.ssh/authorized_keys",
    "home/ops/.ssh/authorized_keys",
    "var/lib/cloud/instances/i-1/user-data.txt",
    "var/lib/google/known",
    "etc/netplan/50-cloud-init.yaml",
]


def test_what_agents_write_from_the_metadata_may_be_the_same_on_two_machines(
    machine: Machine,
) -> None:
    (machine.root / "usr/bin").mkdir(parents=True)
    (machine.root / "usr/bin/cloud-init").touch(0o755)
    rendered = baked(machine, writing(*FROM_METADATA))
    assert there(machine, FROM_METADATA) == []
    for path in FROM_METADATA:
        again = machine.root / path
        again.parent.mkdir(parents=True, exist_ok=True)
        again.write_text("of the builder\n")
    assert found(machine, rendered) == ""


def test_what_is_shared_stays_in_the_image(machine: Machine) -> None:
    install = writing(
        "etc/mailname", "root/.ssh/authorized_keys", "var/lib/rabbitmq/.erlang.cookie"
    )
    shared = ["/etc/mailname", "/root/.ssh/*", "/var/lib/*/.erlang.cookie"]
    rendered = baked(machine, install, image={"shared_files": shared})
    paths = ["etc/mailname", "root/.ssh/authorized_keys", "var/lib/rabbitmq/.erlang.cookie"]
    assert there(machine, paths) == paths
    assert found(machine, rendered) == ""


def test_a_recipe_removes_what_it_knows(machine: Machine) -> None:
    install = writing("var/lib/app/node id", "var/lib/app/a/b/uid", "var/lib/app/kept", text=KEY)
    own = ["/var/lib/app/node id", "/var/lib/app/**/uid", "/var/lib/none/*", "/var/lib/app/.*x"]
    rendered = baked(
        machine, install, image={"remove_files": own, "shared_files": ["/var/lib/app/kept"]}
    )
    paths = ["var/lib/app/node id", "var/lib/app/a/b/uid", "var/lib/app/kept"]
    assert there(machine, paths) == ["var/lib/app/kept"]
    assert found(machine, rendered) == ""


def test_an_image_keeps_the_lists_of_its_parent(machine: Machine) -> None:
    image = {"remove_files": ["/etc/parent.id"], "shared_files": ["/etc/parent.key"]}
    baked(machine, writing("etc/parent.key", text=KEY), image=image)
    (machine.root / "var/lib/bakehouse/result").unlink()
    (machine.root / "dev/ttyS0").unlink()
    rendered = baked(machine, writing("etc/parent.id"))
    assert there(machine, ["etc/parent.id", "etc/parent.key"]) == ["etc/parent.key"]
    assert found(machine, rendered) == ""


def test_what_the_second_machine_has_made_anew_is_its_own(machine: Machine) -> None:
    rendered = baked(machine, writing("etc/app/server.key", text=KEY))
    (machine.root / "etc/app/server.key").write_text(KEY.replace("MII", "MIJ"))
    assert found(machine, rendered) == ""


def test_what_comes_back_as_it_was_is_told(machine: Machine) -> None:
    rendered = baked(machine, writing("var/lib/mysql/auto.cnf"))
    (machine.root / "var/lib/mysql/auto.cnf").write_text("of the builder\n")
    assert found(machine, rendered) == "/var/lib/mysql/auto.cnf is made once per machine"


def test_state_of_a_machine_may_be_the_same_on_another(machine: Machine) -> None:
    state = ["etc/puppet/ssl/certs/ca.pem", "var/lib/dhcp/dhclient.leases", "var/lib/chrony/drift"]
    rendered = baked(machine, writing(*state))
    assert there(machine, state) == []
    for path in state:
        (machine.root / path).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / path).write_text("of the builder\n")
    assert found(machine, rendered) == ""


def test_what_a_template_writes_is_the_recipes(machine: Machine) -> None:
    files = {"templates/etc/mailname.j2": "of the builder\n"}
    rendered = baked(machine, writing("etc/mailname"), files)
    assert not (machine.root / "etc/mailname").exists()
    assert found(machine, rendered) == ""
    assert (machine.root / "etc/mailname").exists()


def test_the_builders_machine_id_is_not_the_second_machines(machine: Machine) -> None:
    own = machine.root / "etc/machine-id"
    own.write_text("0123456789abcdef0123456789abcdef\n")
    rendered = baked(machine, "true\n")
    assert own.read_text() == ""
    own.write_text("0123456789abcdef0123456789abcdef\n")
    assert found(machine, rendered) == "/etc/machine-id is the id of the machine"


def test_the_hostname_of_the_builder_is_emptied(machine: Machine) -> None:
    machine.own_metadata = BUILDER
    baked(machine, installing(**{"etc/hostname": BUILDER["name"]}))
    assert (machine.root / "etc/hostname").read_text() == ""


def first_boot(machine: Machine, **commands: str) -> str:
    for name, body in commands.items():
        machine.stub(name.replace("_", "-"), body)
    done = machine.run((machine.root / "usr/lib/bakehouse/first-boot").read_text())
    return done.stderr


def test_what_services_need_at_once_is_made_at_first_boot(machine: Machine) -> None:
    baked(
        machine,
        writing(
            "etc/ssl/private/ssl-cert-snakeoil.key",
            "etc/iscsi/initiatorname.iscsi",
            "etc/nvme/hostnqn",
            "etc/mailname",
            "etc/dropbear/dropbear_rsa_host_key",
        ),
    )
    enable = "systemctl enable --quiet --no-reload bakehouse-first-boot.service"
    assert enable in machine.calls
    unit = machine.root / "etc/systemd/system/bakehouse-first-boot.service"
    assert "ExecStart=/usr/lib/bakehouse/first-boot\n" in unit.read_text()
    wrong = first_boot(
        machine,
        make_ssl_cert="",
        iscsi_iname="echo iqn.1993-08.org.debian:01:new",
        nvme="echo nqn.2014-08.org.nvmexpress:uuid:aaaa-bbbb",
        hostname="echo app-1.internal",
        dropbearkey="exit 1",
    )
    assert "make-ssl-cert generate-default-snakeoil --force-overwrite" in machine.calls
    name = (machine.root / "etc/iscsi/initiatorname.iscsi").read_text()
    assert name == "InitiatorName=iqn.1993-08.org.debian:01:new\n"
    assert (machine.root / "etc/nvme/hostid").read_text() == "aaaa-bbbb\n"
    assert (machine.root / "etc/mailname").read_text() == "app-1.internal\n"
    assert wrong == "/etc/dropbear/dropbear_rsa_host_key could not be made\n"
    again = len(machine.calls)
    first_boot(machine, dropbearkey="")
    assert "iscsi-iname" not in "".join(machine.calls[again:]), "what is there stays"


def test_an_image_that_lacks_nothing_at_its_first_boot_has_no_unit_for_it(machine: Machine) -> None:
    baked(machine, "true\n")
    assert not (machine.root / "usr/lib/bakehouse/first-boot").exists()
    assert "bakehouse-first-boot" not in " ".join(machine.calls)


@pytest.mark.parametrize("agent", [False, True])
def test_host_keys_are_made_by_the_guest_agent_or_at_first_boot(
    machine: Machine, agent: bool
) -> None:
    """An sshd without them does not start."""
    for program in ["usr/sbin/sshd", *(["usr/bin/google_guest_agent"] if agent else [])]:
        (machine.root / program).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / program).touch(0o755)
    baked(machine, "true\n")
    script = machine.root / "usr/lib/bakehouse/first-boot"
    assert script.exists() == (not agent)
    if not agent:
        first_boot(machine, ssh_keygen="")
        assert "ssh-keygen -A" in machine.calls


def test_an_image_of_an_older_bake_is_not_compared(machine: Machine) -> None:
    rendered = baked(machine, writing("etc/app/server.key", text=KEY))
    (machine.root / "var/lib/bakehouse/identity").unlink()
    assert found(machine, rendered) == ""


def test_no_pattern_is_expanded_before_the_install() -> None:
    """`set -f` stands around the lists: what they match is known at the end of the bake only."""
    text = guest_scripts()["guest/identity.sh"].data.decode()
    before, _, rest = text.partition("set -f ")
    lists, _, after = rest.partition("set +f\n")
    assert "=(" not in before
    assert "=(\n" in lists
    assert "=(\n" not in after
