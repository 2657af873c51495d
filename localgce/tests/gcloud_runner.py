"""Runs gcloud commands in forks of one process that has imported gcloud: each saves seconds.

gcloud's own Python runs it. Each line of standard input is a JSON list of arguments; each line of
standard output is a JSON list of the exit status, the standard output and the standard error.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable


def main() -> None:
    """Answer until the standard input ends."""
    sys.path.insert(0, sys.argv[1])
    importlib.import_module("gcloud")  # prepares the module search path
    gcloud_main = importlib.import_module("googlecloudsdk.gcloud_main")
    cli = gcloud_main.CreateCLI([])
    for line in sys.stdin:
        result = run(lambda: gcloud_main.main(cli), json.loads(line))
        print(json.dumps(result), flush=True)


def run(command: Callable[[], None], arguments: list[str]) -> tuple[int, str, str]:
    """Run one command in a fork."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = ["gcloud", *arguments]
            os._exit(_status(command))
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode()


def _status(command: Callable[[], None]) -> int:
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
