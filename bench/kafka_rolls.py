"""`make bench-kafka`: what a roll of three Kafka brokers costs their clients, in lines of JSON.

The brokers are processes of this computer, with the jars of recipe `kafka`. While they are rolled,
a producer with acks=all and a consumer are at work, and the ISR of the topic is looked at all the
time. Rolls by the recipe's orders (gate, drain, health, resume) and rolls by hand (controlled stop,
start, wait for the ISR) take turns on the same cluster.

- `kafka_records_lost`: acknowledged records that are not read back, of all rolls.
- `kafka_partitions_below_min_isr`: partitions that were seen below min.insync.replicas meanwhile.
- `kafka_longest_pause_ratio`: the longest time between two acknowledgements in a roll by orders,
  over that in a roll by hand; of several the median. Orders move leadership before the stop, as
  the controlled shutdown by hand does: both should be the same, and the goal leaves room for what
  two rolls of one kind differ by on a busy computer.

On real machines (one stack, which bakes `jre` and `kafka`; kafka_real.py):

- `kafka_boot_over_plain`: seconds until a baked broker has started, by its unit over the same
  command by hand on the same machine; beside it the seconds of the jars alone, without the archive
  of classes.
- `kafka_install_over_baked`: seconds from power on to healthy of a plain Debian on which both
  recipes run their install.sh at boot, over those of the baked image.

Numbers say how many rolls of each kind there are, names select figures. All figures are printed,
also where one misses its goal. Ends with 1 when one misses its goal, with 2 when one could not be
measured, which is said on standard error.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import bake_real
import kafka_real
from figures import NOT_MEASURED, CannotMeasure, Line, chosen, line, show

from devstack.kafka.artefacts import PACKAGE, ArtefactError, jars, java
from devstack.kafka.brokers import Image, cluster
from devstack.kafka.members import ByOrders, members
from devstack.kafka.roll import by_hand, followers_first, roll
from devstack.kafka.traffic import Proof, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devstack.kafka.brokers import Cluster
    from devstack.kafka.members import Members

PROJECT = Path(__file__).resolve().parents[1]
LOCK = PROJECT / "include/startup_scripts/kafka/artefacts.lock"
ROLLS = 3
NOTHING = "0 rolls cost nothing"
BY_ORDERS, BY_HAND = "by orders", "by hand"


@dataclass(frozen=True)
class Found:
    """What the clients have seen, by roll."""

    by_orders: tuple[Proof, ...]
    by_hand: tuple[Proof, ...]

    @property
    def all(self) -> tuple[Proof, ...]:
        """Of both kinds."""
        return (*self.by_orders, *self.by_hand)


@cache
def measured(rolls: int) -> Found:
    """Raises CannotMeasure."""
    program = java()
    if program is None:
        raise CannotMeasure(f"there is no Java here: apt-get install {PACKAGE}")
    try:
        image = Image(jars(LOCK))
    except ArtefactError as error:
        raise CannotMeasure(str(error)) from error
    found: dict[str, list[Proof]] = {BY_ORDERS: [], BY_HAND: []}
    with (
        TemporaryDirectory(prefix="bench-kafka-") as name,
        cluster(Path(name) / "kafka", program, image) as made,
        members(PROJECT, made) as agents,
    ):
        for number in range(rolls):
            for kind, proofs in found.items():
                next_image = replace(image, settings={"num.io.threads": str(4 + number)})
                proofs.append(one_roll(made, agents, next_image, kind, f"roll-{len(proofs)}-"))
                print(f"roll {number + 1} {kind}: {proofs[-1].summary()}", file=sys.stderr)
    return Found(tuple(found[BY_ORDERS]), tuple(found[BY_HAND]))


def one_roll(made: Cluster, agents: Members, image: Image, kind: str, prefix: str) -> Proof:
    """Of all brokers, with clients of a topic of its own."""
    topic = prefix + kind.replace(" ", "-")
    with made.admin() as admin:
        admin.create_topics({topic: {}}, wait_for_metadata=True)
    orders = ByOrders(agents)
    with Traffic(made.bootstrap(), topic) as traffic:
        if kind == BY_ORDERS:
            roll(made, image, orders, orders.order)
        else:
            roll(made, image, by_hand, followers_first)
    made.wait_until_safe()
    return traffic.proof()


class Bench:
    """The figures of some rolls of each kind."""

    def __init__(self, rolls: int) -> None:
        self.rolls = rolls

    def kafka_records_lost(self) -> Iterator[Line]:
        """With how many there were."""
        proofs = measured(self.rolls).all
        lost, sent = (sum(values) for values in zip(*map(counts, proofs), strict=True))
        yield line("records", lost, "<= 0", acknowledged=sent, rolls=len(proofs))

    def kafka_partitions_below_min_isr(self) -> Iterator[Line]:
        """With how often somebody looked."""
        proofs = measured(self.rolls).all
        below = sum(proof.partitions_below_min_isr for proof in proofs)
        looks = sum(len(proof.looks) for proof in proofs)
        yield line("partitions", below, "<= 0", looks=looks, rolls=len(proofs))

    def kafka_longest_pause_ratio(self) -> Iterator[Line]:
        """With the seconds of each roll."""
        found = measured(self.rolls)
        ours, plain = (
            [proof.longest_pause for proof in proofs] for proofs in (found.by_orders, found.by_hand)
        )
        seconds = {
            "by_orders": [round(value, 2) for value in ours],
            "by_hand": [round(value, 2) for value in plain],
        }
        yield line("ratio", median(ours) / median(plain), "<= 1.5", seconds=seconds)

    def kafka_boot_over_plain(self) -> Iterator[Line]:
        """With the seconds of each start."""
        found = kafka_real.starts()
        ratio = median(found.unit) / median(found.by_hand)
        yield line("ratio", ratio, "<= 1.05", seconds=asdict(found))

    def kafka_install_over_baked(self) -> Iterator[Line]:
        """With the seconds of both boots."""
        found = kafka_real.installed()
        yield line("ratio", found.at_boot / found.baked, ">= 5", seconds=asdict(found))


FIGURES: tuple[str, ...] = tuple(name for name in vars(Bench) if name.startswith("kafka_"))


def counts(proof: Proof) -> tuple[int, int]:
    """Records that are lost, and all that were acknowledged."""
    return proof.records_lost, proof.acknowledged


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit status."""
    try:
        rolls, names = chosen(arguments, FIGURES, [ROLLS], NOTHING)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return NOT_MEASURED
    bench = Bench(max(rolls))
    try:
        return show(names, lambda name: getattr(bench, name)())
    finally:
        bake_real.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
