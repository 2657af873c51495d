"""The check of packages.txt and Dockerfile, from which Astro builds a deployment's image. Pure.

A project that is not deployed by Astro has neither, and no mistake in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bakehouse.recipe.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGES, DOCKERFILE = "packages.txt", "Dockerfile"
AIRFLOW = "3.3"  # the line that requirements.txt pins

_RUNTIME = re.compile(
    r"^FROM\s+(?:--\S+\s+)*(?P<image>\S*runtime(?P<old>-\w+)?:(?P<tag>\S+))", re.IGNORECASE
)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:[=/][^\s=<>]+)?")


def astro_mistakes(project: Path) -> list[Mistake]:
    """Return the mistakes of both files, as far as they exist."""
    found = list[Mistake]()
    for name, check in ((PACKAGES, _packages), (DOCKERFILE, _dockerfile)):
        if (file := project / name).is_file():
            found += check(file.read_bytes().decode("utf-8", "replace"))
    return found


def _packages(text: str) -> Iterator[Mistake]:
    names = list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        if line.endswith("\r"):
            remedy = "Save the file with LF: apt-get takes CR for a part of the name"
            yield Mistake(PACKAGES, number, "the line", "", "ends in CR LF", remedy)
        for word in line.partition("#")[0].split():
            names.append(re.split(r"[:=/]", word)[0])
            if not _PACKAGE.fullmatch(word):
                remedy = "Write NAME or NAME=VERSION; packages of Python belong in requirements.txt"
                problem = "is not a package of Debian"
                yield Mistake(PACKAGES, number, "the package", repr(word), problem, remedy)
    if "git" not in names:
        problem = "lacks git, by which recipes are read at a commit"
        yield Mistake(PACKAGES, 1, "the file", "", problem, "Add the line git")


def _dockerfile(text: str) -> Iterator[Mistake]:
    for number, line in enumerate(text.splitlines(), 1):
        runtime = _RUNTIME.match(line.strip())
        if runtime is None:
            continue
        is_line = runtime["tag"].startswith((f"{AIRFLOW}-", f"{AIRFLOW}."))
        if runtime["old"] or not is_line:
            problem = f"is not a runtime of Airflow {AIRFLOW}, which requirements.txt pins"
            remedy = f"Write FROM astrocrpublic.azurecr.io/runtime:{AIRFLOW}-2"
            yield Mistake(DOCKERFILE, number, "FROM", repr(runtime["image"]), problem, remedy)
