"""Asks the other brokers whether the cluster knows this one; prints JSON.

Only a broker whose disk is empty asks: a disk that was lost must not come back as if it had never
been. It uses the agent's client and configuration.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

AGENT = Path("/etc/kafka-agent/agent.properties")
METADATA = Path("/etc/kafka/metadata.json")
SECONDS = 15


def main() -> int:
    """Ask, and print; returns the exit code."""
    node = int(json.loads(METADATA.read_text("utf-8"))["kafka-node-id"])
    settings = dict(re.findall(r"^([a-z.]+)=(.*)$", AGENT.read_text("utf-8"), re.MULTILINE))
    servers = [server for server in settings.get("bootstrap.servers", "").split(",") if server]
    try:
        client = KafkaAdminClient(
            bootstrap_servers=servers,
            bootstrap_timeout_ms=SECONDS * 1000,
            request_timeout_ms=SECONDS * 1000,
            **security(settings),
        )
        described = client.describe_cluster()
        quorum = client.describe_metadata_quorum()["topics"][0]["partitions"][0]
    except (KafkaError, OSError) as error:
        print(f"kafka-setup: none of {', '.join(servers)} answers ({error!r})", file=sys.stderr)
        print(json.dumps({}))
        return 0
    brokers = {int(one["broker_id"]) for one in described["brokers"]}
    cluster = str(described.get("cluster_id") or "")
    print(f"kafka-setup: the cluster {cluster} has the brokers {sorted(brokers)}", file=sys.stderr)
    found = {
        "answered": True,
        "cluster": cluster,
        "registered": node in brokers,
        "directory": directory_of(node, quorum["current_voters"]),
    }
    print(json.dumps(found))
    return 0


def directory_of(node: int, voters: list[dict[str, Any]]) -> str | None:
    """The directory id of the voter with this node id."""
    for voter in voters:
        if int(voter["replica_id"]) == node:
            found = voter.get("replica_directory_id")
            raw = found.bytes if isinstance(found, uuid.UUID) else uuid.UUID(str(found)).bytes
            return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
    return None


def security(settings: dict[str, str]) -> dict[str, str | bool]:
    """Arguments of the client for TLS and SASL."""
    names = {
        "security.protocol": "security_protocol",
        "ssl.ca.location": "ssl_cafile",
        "ssl.certificate.location": "ssl_certfile",
        "ssl.key.location": "ssl_keyfile",
        "ssl.key.password": "ssl_password",
        "sasl.mechanism": "sasl_mechanism",
        "sasl.username": "sasl_plain_username",
        "sasl.password": "sasl_plain_password",
    }
    found: dict[str, str | bool] = {
        name: settings[key] for key, name in names.items() if settings.get(key)
    }
    if settings.get("ssl.endpoint.identification.algorithm") == "":
        found["ssl_check_hostname"] = False
    return found


if __name__ == "__main__":
    sys.exit(main())
