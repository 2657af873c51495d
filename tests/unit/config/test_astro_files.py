"""packages.txt and Dockerfile: what an image of Astro would lack, or could not be built of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT

from bakehouse.config.astro_files import astro_mistakes

if TYPE_CHECKING:
    from pathlib import Path


def told(folder: Path, name: str, text: str) -> list[str]:
    (folder / name).write_bytes(text.encode())
    return [str(one) for one in astro_mistakes(folder)]


def test_what_ships_has_no_mistake(tmp_path: Path) -> None:
    assert astro_mistakes(PROJECT) == []
    assert astro_mistakes(PROJECT / "plugins/bakehouse/init_template") == []
    assert astro_mistakes(tmp_path) == []  # not deployed by Astro


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("curl\n", "packages.txt:1: the file lacks git, by which recipes are read at a commit"),
        ("git\r\n", "packages.txt:1: the line ends in CR LF. Save the file with LF"),
        ("git\nboto3==1.2\n", "packages.txt:2: the package is not a package of Debian (it is 'bo"),
        ("git\nrequests>=2\n", "(it is 'requests>=2'). Write NAME or NAME=VERSION"),
        (
            "git\nlibFoo\n",
            "packages.txt:2: the package is not a package of Debian (it is 'libFoo')",
        ),
    ],
)
def test_a_mistake_of_the_packages_is_told(tmp_path: Path, text: str, said: str) -> None:
    (only,) = told(tmp_path, "packages.txt", text)
    assert said in only


def test_versions_comments_and_architectures_are_packages(tmp_path: Path) -> None:
    text = "# for recipes\ngit=1:2.39.5-0+deb12u2 libstdc++6:amd64\njq/stable\n\n"
    assert told(tmp_path, "packages.txt", text) == []


@pytest.mark.parametrize("image", ["quay.io/astronomer/astro-runtime:12.4.0", "x/runtime:3.0-1"])
def test_a_runtime_of_another_airflow_is_told(tmp_path: Path, image: str) -> None:
    (only,) = told(tmp_path, "Dockerfile", f"# syntax\nFROM {image} AS base\nRUN true\n")
    assert only.startswith("Dockerfile:2: FROM is not a runtime of Airflow 3.3")
    assert f"(it is '{image}')" in only
    assert told(tmp_path, "Dockerfile", "FROM astrocrpublic.azurecr.io/runtime:3.3-4-base\n") == []
