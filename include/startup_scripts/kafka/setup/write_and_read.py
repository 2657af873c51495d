"""For the smoke test: a record is written with acks=all, and read back from the beginning.

write_and_read.py ADDRESS TOPIC: ends with 1 if the record is not read back. Without KVM each
command of Kafka starts a JVM for most of a minute; this one does not.
"""

from __future__ import annotations

import sys
import time
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

SECONDS = 120  # for either half


def main() -> int:
    """Returns the exit code."""
    address, topic = sys.argv[1:]
    value = uuid4().hex.encode()
    limit = SECONDS * 1000
    producer = KafkaProducer(
        bootstrap_servers=[address], acks="all", delivery_timeout_ms=limit, max_block_ms=limit
    )
    written = producer.send(topic, value, partition=0).get(timeout=SECONDS)
    producer.close()
    if value not in read(address, TopicPartition(topic, 0), written.offset):
        print(
            f"the record at offset {written.offset} of {topic} was not read back", file=sys.stderr
        )
        return 1
    print(f"written at offset {written.offset} of {topic}, and read back")
    return 0


def read(address: str, partition: TopicPartition, last: int) -> list[bytes]:
    """The values of a partition from its beginning up to this offset."""
    consumer = KafkaConsumer(bootstrap_servers=[address], group_id=None)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    until, found = time.monotonic() + SECONDS, []
    while time.monotonic() < until:
        records = consumer.poll(timeout_ms=1000).get(partition, [])
        found += [one.value for one in records]
        if any(one.offset >= last for one in records):
            break
    consumer.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
