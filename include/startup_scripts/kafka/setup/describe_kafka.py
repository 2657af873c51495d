"""At bake time: what this Kafka says of itself, as files of the image. Runs beside a broker.

describe_kafka.py CONFIG_NAMES FORMATS [ADDRESS]: writes the names of its config with their types,
and the versions of each feature that it can read and write, which a rollout compares with the data.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

SECONDS = 900.0  # until the broker answers: without KVM it takes minutes


def main() -> int:
    """Write both files; returns the exit code."""
    names, formats, *address = sys.argv[1:]
    client = connect(address[0] if address else "127.0.0.1:9092")
    features: dict[str, dict[str, tuple[int, int]]] = client.describe_features()
    write(formats, {name: span(found) for name, found in features.items() if "supported" in found})
    broker = str(client.describe_cluster()["brokers"][0]["broker_id"])
    resource = ConfigResource(ConfigResourceType.BROKER, broker)
    found = client.describe_configs([resource], config_filter="all")["broker"][broker]
    types = {name: str(config["config_type"]) for name, config in found.items()}
    client.close()
    if dashed := [name for name in types if "-" in name]:
        print(
            f"names of config with a dash, which no attribute can mean: {dashed}", file=sys.stderr
        )
        return 1
    write(names, types)
    print(f"{len(types)} names of config, {len(features)} features")
    return 0


def connect(address: str) -> Any:
    """A client, once the broker answers."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            client = KafkaAdminClient(bootstrap_servers=[address])
            client.describe_cluster()
            return client
        except (KafkaError, OSError) as error:
            if time.monotonic() > until:
                raise
            print(f"not yet: {error!r}"[:200])
            time.sleep(2)


def span(feature: dict[str, tuple[int, int]]) -> dict[str, int]:
    """The lowest and the highest version that it supports."""
    low, high = feature["supported"]
    return {"min": low, "max": high}


def write(path: str, what: dict[str, Any]) -> None:
    """As JSON, sorted, so that two bakes of one Kafka write the same."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(what, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
