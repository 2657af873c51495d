"""Cleans up after a stack whose owner was killed before it could.

    python -m devstack.reaper STATE

The owner holds the other end of standard input. It writes `done` when it has stopped the stack
itself; an end without that word means that it is dead, whatever killed it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from devstack.layout import Layout
from devstack.teardown import end_stack, forget_machines

DONE = b"done"


def main(state: Path) -> None:
    """Wait until stdin is closed; end the stack unless it was ended in order."""
    if sys.stdin.buffer.read().endswith(DONE):
        return
    layout = Layout(state)
    end_stack(layout)
    forget_machines(layout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
