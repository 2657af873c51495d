"""The cluster of `make demo-kafka` as this computer sees it: machines, disks, records on a disk."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from bakehouse.local.console import Console
from devstack.kafka.demo_project import OUTSIDE, outside_name
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from devstack.gce_api import Compute, Resource

REGION = "regions/us-central1"
BALLAST = "ballast"  # what lies on the disks while brokers are replaced; nobody writes it meanwhile
RECORD = 100_000  # bytes
SECONDS = 900.0  # for what takes one on a machine that is not emulated
SEGMENTS = f"stat -c '%n %i %s' /var/lib/kafka/data/{BALLAST}-*/*.log"


class DemoCluster:
    """Three brokers on machines, reached at their external addresses."""

    def __init__(self, compute: Compute, zones: Mapping[str, str]) -> None:
        self.compute, self.zones = compute, dict(zones)
        self.addresses: dict[str, str] = {}

    @property
    def servers(self) -> list[str]:
        """Where clients of this computer find the brokers."""
        return [f"{address}:{OUTSIDE}" for address in self.addresses.values()]

    def reserve(self) -> None:
        """An external address for each member, which its listener names."""
        for member in self.zones:
            name = outside_name(member)
            self.compute.call("POST", f"{REGION}/addresses", json={"name": name})
            self.addresses[member] = self.compute.call("GET", f"{REGION}/addresses/{name}")[
                "address"
            ]

    @contextmanager
    def admin(self, without: str = "") -> Generator[Any]:
        """A client of the brokers, but for one."""
        servers = [f"{a}:{OUTSIDE}" for member, a in self.addresses.items() if member != without]
        client = KafkaAdminClient(
            bootstrap_servers=servers, request_timeout_ms=60_000, bootstrap_timeout_ms=120_000
        )
        with closing(client):
            yield client

    def active_controller(self) -> str:
        """The member that leads the quorum."""
        with self.admin() as admin:
            quorum = admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
        return f"kafka-{quorum['leader_id']}"

    def create_topic(self, topic: str) -> None:
        """With three replicas of each of three partitions."""
        last = time.monotonic() + SECONDS
        while True:
            try:
                with self.admin() as admin:
                    admin.create_topics(
                        {topic: {"num_partitions": 3, "replication_factor": 3}},
                        wait_for_metadata=True,
                    )
            except KafkaError as error:
                if "exists" in str(error).lower():
                    break
                if time.monotonic() > last:
                    raise RuntimeError(f"the topic {topic} cannot be made: {error!r}") from error
                time.sleep(2)
            else:
                break
        self.wait_until_in_sync(topic)

    def in_sync(self, topic: str, without: str = "") -> list[list[int]]:
        """The ISR of each partition."""
        with self.admin(without) as admin:
            described = admin.describe_topic_partitions([topic])["topics"][0]
        return [sorted(one["isr_nodes"]) for one in described["partitions"]]

    def wait_until_in_sync(self, topic: str) -> None:
        """Until each partition has three replicas in sync."""

        def all_three() -> bool:
            try:
                return all(len(isr) == len(self.zones) for isr in self.in_sync(topic))
            except KafkaError:
                return False

        wait_until(all_three, SECONDS, f"{topic} to have three replicas in sync", every=2.0)

    def fill(self, megabytes: int) -> None:
        """Write records that lie on the disks from then on."""
        producer = KafkaProducer(
            bootstrap_servers=self.servers,
            acks="all",
            linger_ms=50,
            request_timeout_ms=120_000,
            delivery_timeout_ms=600_000,
        )
        with closing(producer):
            sent = [
                producer.send(BALLAST, bytes([65 + one % 26]) * RECORD, partition=one % 3)
                for one in range(megabytes * 1_000_000 // RECORD)
            ]
            for one in sent:
                one.get(SECONDS)

    # machines

    def instance(self, member: str) -> Resource:
        """The instance of the member."""
        found: Resource = self.compute.call("GET", self._path(member))
        return found

    def images(self) -> dict[str, str]:
        """The image that the boot disk of each member was made of."""
        disks = {disk["name"]: disk for disk in self.compute.disks()}
        return {
            member: _last(disks[_last(self._boot(member)["source"])]["sourceImage"])
            for member in self.zones
        }

    def boot_disks(self) -> dict[str, str]:
        """The name of the boot disk of each member."""
        return {member: _last(self._boot(member)["source"]) for member in self.zones}

    def machines(self) -> dict[str, str]:
        """Status and boot disk of each member, in words; a member that does not exist is left out.

        One list, since members come and go while a fleet is recreated.
        """
        return {
            one["name"]: f"{one['status']} on {_last(_boot_of(one)['source'])}"
            for one in self.compute.instances()
            if one["name"] in self.zones
        }

    def data_disks(self) -> dict[str, str]:
        """The id of the data disk of each member."""
        disks = {disk["name"]: str(disk["id"]) for disk in self.compute.disks()}
        return {
            member: disks[_last(disk["source"])]
            for member in self.zones
            for disk in self.instance(member)["disks"]
            if not disk.get("boot")
        }

    def kill(self, member: str) -> None:
        """Power it off, as when its host fails."""
        self.compute.fault(kind="kill", instance=member)

    def segments(self, member: str) -> dict[str, tuple[int, int]]:
        """Inode and bytes of each file of the ballast on the data disk of a member."""
        with closing(Console(self.compute.console(member))) as console:
            console.until_a_shell_answers()
            code, output = console.run(SEGMENTS, 300.0)
        if code != 0:
            raise RuntimeError(f"{member} lists no files of {BALLAST}: {output}")
        rows = [line.split() for line in output.splitlines() if line.startswith("/var/lib/kafka")]
        return {name: (int(inode), int(size)) for name, inode, size in rows}

    def leftovers(self) -> list[str]:
        """Instances and disks that belong to no member."""
        names = set(self.zones)
        theirs = {_last(d["source"]) for one in names for d in self.instance(one)["disks"]}
        return [
            f"instance {one['name']}"
            for one in self.compute.instances()
            if one["name"] not in names
        ] + [f"disk {one['name']}" for one in self.compute.disks() if one["name"] not in theirs]

    def _boot(self, member: str) -> Resource:
        return _boot_of(self.instance(member))

    def _path(self, member: str) -> str:
        return f"zones/{self.zones[member]}/instances/{member}"


def _boot_of(instance: Resource) -> Resource:
    disks: list[Resource] = instance["disks"]
    return next(disk for disk in disks if disk.get("boot"))


def _last(url: str) -> str:
    return url.rsplit("/", 1)[-1]
