"""The commands of docs/google-cloud.md, and a shell that follows the page word by word."""

from __future__ import annotations

import re
import shlex

from tests.support.paths import PROJECT

PAGE = PROJECT / "docs" / "google-cloud.md"
_BLOCKS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What reaches Google or Airflow is written down in the place of being done, one command a line.
_STANDS_FOR = """\
set -Eeuo pipefail
note() { printf '%s\\n' "${*@Q}" >> "$NOTES"; }
gcloud() { note gcloud "$@"; if [ "$1" = compute ]; then $GCLOUD "$@"; fi; }
airflow() { note airflow "$@"; }
kubectl() { note kubectl "$@"; }
bakehouse() { if [ "$1" = doctor ]; then note bakehouse "$@"; else command bakehouse "$@"; fi; }
git() { if [ "$1" = push ]; then note git "$@"; else command git "$@"; fi; }
"""


def script(project: str) -> str:
    """Return all commands of the page, in its order, for a project of another name.

    Commands of gcloud, airflow and kubectl, the doctor and `git push` append themselves to the file
    $NOTES; those of Compute Engine are run by the program $GCLOUD too.
    """
    text = "\n".join(_BLOCKS.findall(PAGE.read_text("utf-8")))
    assert "export PROJECT=my-project " in text
    return _STANDS_FOR + text.replace("export PROJECT=my-project ", f"export PROJECT={project} ")


def noted(notes: str) -> list[list[str]]:
    """The commands of the file $NOTES, as words."""
    return [shlex.split(line) for line in notes.splitlines()]


def commands(*first: str) -> list[list[str]]:
    """The commands of the page that begin with these words, as words, with variables unexpanded."""
    lines = "\n".join(_BLOCKS.findall(PAGE.read_text("utf-8"))).replace("\\\n", " ").splitlines()
    found = [shlex.split(line) for line in lines]
    return [words for words in found if tuple(words[: len(first)]) == first]


def options(words: list[str]) -> dict[str, str]:
    """The options of a command: `--range=10.0.0.0/8` is `range`; one without a value is empty."""
    given = [word.removeprefix("--").partition("=") for word in words if word.startswith("--")]
    return {name: value for name, _, value in given}
