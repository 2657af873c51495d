"""Starts the agent: `python -m kafka_agent`."""

from __future__ import annotations

import logging
import os
import signal
import ssl
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_agent.agent import Agent
from kafka_agent.config import ConfigError, read
from kafka_agent.gather import Gatherer
from kafka_agent.serve import listen, listen_for_metrics

if TYPE_CHECKING:
    from types import FrameType

CONFIG = "/etc/kafka-agent/agent.properties"
SOCKET = "/run/kafka-agent/agent.sock"


def main() -> int:
    """Serves until SIGTERM. 2: the configuration or an address is wrong."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # each failure comes as an answer as well
    path = Path(os.environ.get("KAFKA_AGENT_SOCKET", SOCKET))
    state = Path(os.environ.get("KAFKA_AGENT_STATE", path.parent))
    try:
        config = read(Path(os.environ.get("KAFKA_AGENT_CONFIG", CONFIG)))
        agent = Agent(config, Gatherer(config), state)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, ssl.SSLError) as error:
        print(f"the certificates or keys cannot be used: {error}", file=sys.stderr)
        return 2
    try:
        server = listen(agent, path)
    except OSError as error:
        print(f"{path}: cannot listen: {error.strerror or error}", file=sys.stderr)
        return 2
    try:
        if config.metrics is not None:
            listen_for_metrics(agent, config.metrics)
    except OSError as error:
        where = ":".join(map(str, config.metrics or ()))
        print(f"metrics.listen: {where}: cannot listen: {error.strerror or error}", file=sys.stderr)
        server.server_close()
        return 2

    def end(signum: int, frame: FrameType | None) -> None:  # ruff: ignore[unused-function-argument]
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    print(f"listening on {path}", flush=True)
    server.serve_forever()
    server.server_close()
    server.take_away(path)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Threads that wait for a broker end with the process.
    os._exit(code)
