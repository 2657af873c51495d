"""`make demo-kafka`: a Kafka cluster on machines, rolled and broken while clients are at work.

It is played in two ways: `ROLL` moves the whole fleet onto the next version and kills a broker
meanwhile, `BAD_IMAGE` has a bad version go to the canary and back.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

from kafka.errors import KafkaError

from devstack.demo import Step, follow, follow_to_end, run_dag, start_stack, trigger
from devstack.demo_model import Demo, claim
from devstack.kafka.artefacts import jars, java
from devstack.kafka.brokers import Image, cluster, size, written
from devstack.kafka.demo_cluster import BALLAST, DemoCluster
from devstack.kafka.demo_project import BAD, LARGER_MACHINE, NEXT, commit, members, write_fleet
from devstack.kafka.killed import KilledBroker
from devstack.kafka.roll import roll
from devstack.kafka.traffic import Proof, Traffic
from devstack.report import seconds_of
from devstack.topology import NO_SCHEDULE

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from devstack.airflow_api import Task

BAKE_JRE, BAKE, ROLL_OUT = "bake__jre", "bake__kafka", "roll_out__kafka"
LOCK = "include/startup_scripts/kafka/artefacts.lock"
RUN_DEADLINE = 7200.0  # seconds; on two idle cores without KVM the longest takes ten minutes
BALLAST_MB = 4
# seconds; each request costs emulated brokers processor time, some 50 ms by reckoning
EVERY, LOOK_EVERY, FETCH_WAIT = 1.0, 2.0, 5.0
COPIED_AT_MOST = 0.01  # of the data on the disk of a member


@dataclass
class KafkaDemo(Demo):
    """The state of this demo; each step sets what later ones read."""

    errors: ClassVar[tuple[type[Exception], ...]] = (KafkaError,)
    # The brokers need the cores: an idle scheduler takes 5 % of one so, and 12 % as elsewhere.
    settings: ClassVar[Mapping[str, str]] = {
        **NO_SCHEDULE,
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    }

    versions: dict[str, str]  # name -> commit; "" is the first
    other: str  # the version that is rolled out behind the first: NEXT or BAD
    cluster: DemoCluster = field(init=False)
    runs: dict[str, str] = field(init=False, default_factory=dict)  # of bakes, by version
    images: dict[str, str] = field(init=False, default_factory=dict)
    creation: str = field(init=False, default="")  # the run that creates the members
    in_processes: Proof = field(init=False)
    proofs: dict[str, Proof] = field(init=False, default_factory=dict)
    killed: KilledBroker = field(init=False)
    pause: float = field(init=False)  # seconds, of the whole roll but for the broker's death
    copied: dict[str, float] = field(init=False, default_factory=dict)  # share of each member
    failed: str = field(init=False)  # why the rollout of the bad version went back


def roll_processes(demo: KafkaDemo) -> None:
    """The same roll with brokers in processes of this computer, by hand: what to compare with."""
    program = java()
    claim(program is not None, "there is no Java here: scripts/setup packages-kafka.txt")
    assert program is not None
    image = Image(jars(demo.project / LOCK))
    with (
        TemporaryDirectory(prefix="demo-kafka-") as name,
        cluster(Path(name) / "kafka", program, image) as made,
    ):
        demo.report.line("three brokers run in processes of this computer")
        with made.admin() as admin:
            admin.create_topics({"compared": {}}, wait_for_metadata=True)
        with Traffic(made.bootstrap(), "compared") as traffic:
            done = roll(made, replace(image, settings={"log.retention.hours": "72"}))
        demo.in_processes = traffic.proof()
    for one in done:
        demo.report.line(f"broker {one.node} was replaced in {one.ended - one.began:.0f} s")
    demo.report.line(demo.in_processes.summary())


def declare_fleet(demo: KafkaDemo) -> None:
    """Reserve an outside address for each member, and write it into the file of the fleet."""
    demo.cluster = DemoCluster(demo.compute, members(demo.project))
    demo.cluster.reserve()
    write_fleet(demo.project, demo.compute.project, demo.cluster.addresses)
    commit(demo.project, "The fleet as this computer can run it")
    for member, address in demo.cluster.addresses.items():
        zone = demo.cluster.zones[member]
        demo.report.line(f"{member} in {zone} will be reached from outside at {address}")


def bake_jre(demo: KafkaDemo) -> None:
    """The layer below Kafka."""
    demo.airflow.wait_for_dag(BAKE_JRE, 300)
    run_dag(demo, BAKE_JRE, {"git_ref": demo.versions[""], "roll_out": False}, RUN_DEADLINE)


def bake_two(demo: KafkaDemo) -> None:
    """The first version and the other one, whose bake waits behind it as bakes of one recipe do.

    The mistake of the bad version is not found: it needs a cluster. The first broker is created
    beside the smoke test of the other version, when no builder needs the cores any more.
    """

    def create(tasks: list[Task]) -> None:
        built = any(one.task_id == "create_image" and one.state == "success" for one in tasks)
        if built and "" in demo.images and not demo.creation:
            demo.creation = trigger(demo, ROLL_OUT, {"image": demo.images[""]})

    for version in ("", demo.other):
        conf = {"git_ref": demo.versions[version], "roll_out": False}
        demo.runs[version] = trigger(demo, BAKE, conf)
    for version, run_id in demo.runs.items():
        follow(demo, BAKE, run_id, RUN_DEADLINE, create)
        plan = demo.airflow.xcom(BAKE, run_id, "plan_bake")
        demo.images[version] = plan["image_name"]


def create_cluster(demo: KafkaDemo) -> None:
    """The first rollout creates the members."""
    follow(demo, ROLL_OUT, demo.creation, RUN_DEADLINE)
    for member, image in demo.cluster.images().items():
        demo.report.line(f"{member} runs {image}")
    claim(set(demo.cluster.images().values()) == {demo.images[""]}, "not all have the image")


def make_topics(demo: KafkaDemo) -> None:
    """From outside; some records lie on the disks before anything is replaced."""
    demo.cluster.create_topic(BALLAST)
    demo.cluster.fill(BALLAST_MB)
    demo.report.line(f"{BALLAST_MB} MB of records lie on each of the three data disks")


def roll_bad(demo: KafkaDemo) -> None:
    """The bad version is caught at the canary, which goes back by itself."""
    before = demo.cluster.boot_disks()
    with _traffic(demo, BAD):
        run_id = trigger(demo, ROLL_OUT, {"image": demo.images[BAD]})
        run = follow_to_end(demo, ROLL_OUT, run_id, RUN_DEADLINE)
    note = str(demo.airflow.call("GET", f"/dags/{ROLL_OUT}/dagRuns/{run_id}")["note"])
    claim(run.state == "failed", f"the rollout of the bad version is {run.state}")
    demo.failed = note
    demo.report.line(f"the rollout has failed, as it must: {note}", "green")
    found = demo.cluster.images()
    claim(set(found.values()) == {demo.images[""]}, f"the members run {found}")
    untouched = [one for one, disk in demo.cluster.boot_disks().items() if before[one] == disk]
    claim(len(untouched) >= len(before) - 1, f"only {untouched} have the boot disk they had")
    proof = demo.proofs[BAD]
    claim(proof.holds, f"the way back was not safe: {proof.summary()}")


def roll_next(demo: KafkaDemo) -> None:
    """The whole fleet onto the next version and larger machines, and a broker killed meanwhile.

    Its machines are recreated around their data disks. The active controller, which would go last,
    is killed as soon as the canary is done: a dead member goes first, and the other one waits.
    """
    write_fleet(
        demo.project,
        demo.compute.project,
        demo.cluster.addresses,
        strategy="recreate",
        template={"machine_type": LARGER_MACHINE},
    )
    commit(demo.project, "Larger machines")
    data, members_of = demo.cluster.data_disks(), list(demo.cluster.zones)
    before = {member: demo.cluster.segments(member) for member in members_of}
    victim = demo.cluster.active_controller()
    with _traffic(demo, NEXT) as traffic:
        run_id = trigger(demo, ROLL_OUT, {"image": demo.images[NEXT]})
        demo.killed = KilledBroker(
            demo.cluster,
            demo.report,
            victim,
            [member for member in members_of if member != victim],
            traffic.topic,
            lambda: str(demo.airflow.call("GET", f"/dags/{ROLL_OUT}/dagRuns/{run_id}")["note"]),
        )
        follow(demo, ROLL_OUT, run_id, RUN_DEADLINE, demo.killed)
    _check_killed(demo.killed)
    demo.pause = traffic.producer.longest_pause_outside(demo.killed.killed, demo.killed.went_on)
    proof = demo.proofs[NEXT]
    claim(proof.holds, f"the roll was not safe: {proof.summary()}")
    found = demo.cluster.images()
    claim(set(found.values()) == {demo.images[NEXT]}, f"the members run {found}")
    claim(demo.cluster.data_disks() == data, "a member has another data disk")
    for member in members_of:
        kind = demo.cluster.instance(member)["machineType"]
        claim(kind.endswith(LARGER_MACHINE), f"{member} was not recreated")
        copied = written(before[member], demo.cluster.segments(member)) / size(before[member])
        demo.copied[member] = copied
        demo.report.line(f"{member} was recreated: {copied:.2%} of its data was copied")
        claim(copied <= COPIED_AT_MOST, f"{member} has copied {copied:.1%} of its data")


def check_nothing_left(demo: KafkaDemo) -> None:
    """Only the members and their disks exist."""
    left = demo.cluster.leftovers()
    claim(not left, f"the runs left {', '.join(left)} behind")
    demo.report.line("the runs left no instance and no disk besides the fleet's", "green")


def show_roll(demo: KafkaDemo) -> None:
    """What was proved, and where the time went."""
    pauses = (demo.pause, demo.in_processes.longest_pause)
    copied = ", ".join(f"{one} {share:.2%}" for one, share in demo.copied.items())
    _show(
        demo,
        [
            ("by hand, in processes", demo.in_processes.summary()),
            (
                "longest pause of the roll",
                "{:.2f} s without the kill, {:.2f} s with brokers in processes".format(*pauses),
            ),
            ("the line stopped", demo.killed.reason),
            ("copied by recreate", copied),
        ],
    )


def show_way_back(demo: KafkaDemo) -> None:
    """What was proved, and where the time went."""
    _show(demo, [("the rollout failed", demo.failed)])


UP_TO_TRAFFIC: tuple[Step[KafkaDemo], ...] = (
    Step("localgce, Airflow and the public image", start_stack),
    Step("the fleet's file", declare_fleet),
    Step("the layer: jre", bake_jre),
    Step("two images of Kafka", bake_two),
    Step("the cluster is created", create_cluster),
    Step("topics", make_topics),
)
NOTHING_LEFT: Step[KafkaDemo] = Step("what the runs left", check_nothing_left)
ROLL: tuple[Step[KafkaDemo], ...] = (
    Step("a roll by hand, with brokers in processes", roll_processes),
    *UP_TO_TRAFFIC,
    Step("the whole fleet onto the next image and machines, and a broker is killed", roll_next),
    NOTHING_LEFT,
    Step("the result", show_roll),
)
BAD_IMAGE: tuple[Step[KafkaDemo], ...] = (
    *UP_TO_TRAFFIC,
    Step("the bad image goes to the canary, and back", roll_bad),
    NOTHING_LEFT,
    Step("the result", show_way_back),
)


def _show(demo: KafkaDemo, rows: list[tuple[str, str]]) -> None:
    proofs = [(name, proof.summary()) for name, proof in demo.proofs.items()]
    spent = ("seconds of the demo", seconds_of(demo.spent))
    demo.report.table("Kafka on QEMU machines", [*proofs, *rows, spent])


@contextmanager
def _traffic(demo: KafkaDemo, name: str) -> Generator[Traffic]:
    """Clients at work on a topic of their own; then the proof, by this name."""
    topic = f"topic-{len(demo.proofs) + 1}"
    demo.cluster.create_topic(topic)
    made = Traffic(
        demo.cluster.servers,
        topic,
        every=EVERY,
        look_every=LOOK_EVERY,
        fetch_wait=FETCH_WAIT,
        give_up=900.0,
        answer_within=30.0,
    )
    with made as traffic:
        demo.report.line(f"a producer (acks=all) and a consumer are at work on {topic}")
        yield traffic  # ruff: ignore[fallible-context-manager]  nothing is proved by half a roll
        demo.cluster.wait_until_in_sync(topic)
    demo.proofs[name] = traffic.proof()
    demo.report.line(demo.proofs[name].summary(), "green" if demo.proofs[name].holds else "red")


def _check_killed(killed: KilledBroker) -> None:
    claim(killed.killed > 0, "nobody was killed: no member was replaced before the end")
    claim(killed.told > 0, f"the run's note never named {killed.victim}")
    claim(not killed.moved, f"others were touched meanwhile: {'; '.join(killed.moved)}")
    claim(killed.back > 0, f"{killed.victim} was never in sync again")
    claim(killed.went_on > 0, f"nobody was replaced after {killed.victim} was back")
