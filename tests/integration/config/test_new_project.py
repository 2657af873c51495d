"""`bakehouse init`: a project that starts, and its first commit."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from bakehouse.config.new_project import NotEmpty, commit_project, write_project
from bakehouse.config.project import all_mistakes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user whom git knows by name."""
    config = tmp_path / "gitconfig"
    config.write_text("[user]\nname = T\nemail = t@example.com\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_project(tmp_path / "images")
    return tmp_path / "images"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_what_is_written_has_no_mistake(folder: Path) -> None:
    assert all_mistakes(folder / "include") == []
    assert os.access(folder / "include/startup_scripts/web/health", os.X_OK)
    assert "@VERSION@" not in (folder / "requirements.txt").read_text()


def test_airflow_looks_into_its_dag_files(folder: Path) -> None:
    for file in (folder / "dags").glob("*.py"):
        text = file.read_text().lower()
        assert "dag" in text, file
        assert "airflow" in text, file


def test_everything_is_in_the_first_commit(folder: Path) -> None:
    assert commit_project(folder).startswith("committed as ")
    assert git(folder, "status", "--porcelain") == ""
    assert ".gitignore" in git(folder, "ls-files").splitlines()


def test_a_repository_around_the_folder_is_left_to_its_owner(folder: Path) -> None:
    git(folder.parent, "init", "--quiet")
    assert "inside a git repository" in commit_project(folder)
    assert not (folder / ".git").exists()


def test_without_git_the_commit_is_left_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "not installed" in commit_project(folder)


def test_a_folder_with_files_is_not_touched(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(NotEmpty, match="is not an empty folder"):
        write_project(folder)
    with pytest.raises(NotEmpty):
        write_project(folder / "README.md")
    assert sorted(folder.rglob("*")) == before
