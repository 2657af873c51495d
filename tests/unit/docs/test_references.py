"""What the guides name exists: files, links, make targets, commands, options, identifiers."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import typer.main
from tests.support.paths import PROJECT

import bakehouse.cli
import devstack.cli

GUIDES = sorted(
    [
        *(file for file in PROJECT.glob("*.md") if file.name != "CHANGELOG.md"),
        *(PROJECT / "docs").glob("*.md"),
    ]
)
DECISIONS = sorted((PROJECT / "docs" / "decisions").glob("*.md"))
LINKED = [*GUIDES, PROJECT / "CHANGELOG.md", *DECISIONS]
AIRFLOWS_OWN = {"assets/manager.py"}

CODE = re.compile(r"```.*?```|`([^`\n]+)`", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
COMMAND = re.compile(
    r"(?:^|[\s`/])(bakehouse|devstack) ([a-z][a-z-]*)((?: [^\n`]*)?)", re.MULTILINE
)
PLACEHOLDER = re.compile(r"[<>*…{}$]|\b[A-Z][A-Z_]+\b(?!\.md)|\.\.\.")
TOP_FOLDERS = {
    "localgce",
    "plugins",
    "dags",
    "docs",
    "include",
    "tests",
    "bench",
    "devstack",
    "scripts",
}
WITH_UNDERSCORE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
LABEL = re.compile(r"bakehouse-[a-z-]+[a-z]")
# what the guides show of other programs, or as an example of the user's
FOREIGN = {
    "dag_file_processor_timeout",
    "max_tis_per_query",
    "min_file_process_interval",
    "min_heartbeat_interval",
    "no_proxy",
    "scheduler_idle_sleep_time",
    "stale_dag_threshold",
}


def snippets(guide: Path) -> list[str]:
    """Every piece of code in a guide, inline and fenced."""
    return [found[0].strip("`") for found in CODE.finditer(guide.read_text("utf-8"))]


def words(guide: Path) -> list[str]:
    """Inline code only."""
    return [found[1] for found in CODE.finditer(guide.read_text("utf-8")) if found[1]]


@cache
def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.splitlines()


@cache
def source() -> str:
    """All that is no prose: what an identifier of a guide must occur in."""
    files = (PROJECT / name for name in tracked() if not name.endswith((".md", ".png", ".lock")))
    own = Path(__file__)
    return "\n".join(
        file.read_text("utf-8", "replace") for file in files if file.is_file() and file != own
    )


@cache
def source_words() -> frozenset[str]:
    """Identifiers of the code, and the names of its files."""
    return frozenset(re.findall(r"[A-Za-z0-9_]+", "\n".join([source(), *tracked()])))


def anchors(file: Path) -> set[str]:
    """GitHub's anchors of a file's headings."""
    titles = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[`*]|\]\(.*?\)|\[", "", title).lower() for title in titles)
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in plain}


def guide_name(file: Path) -> str:
    return str(file.relative_to(PROJECT))


@pytest.mark.parametrize("page", LINKED, ids=guide_name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(page.read_text("utf-8")):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("guide", GUIDES, ids=guide_name)
def test_paths_exist(guide: Path) -> None:
    missing = [
        word
        for word in words(guide)
        if word.split("/")[0] in TOP_FOLDERS
        and "/" in word
        and " " not in word
        and not PLACEHOLDER.search(word)
        and not (PROJECT / word.partition("::")[0]).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("decision", DECISIONS, ids=guide_name)
def test_files_of_decisions_exist(decision: Path) -> None:
    """A path may start at the project, at plugins/ or at the package."""
    starts = [PROJECT / start for start in ("", "plugins", "plugins/bakehouse")]
    named = {
        word for word in words(decision) if re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.(py|md|sh|j2)", word)
    }
    missing = {name for name in named if not any((start / name).exists() for start in starts)}
    assert missing - AIRFLOWS_OWN == set()


@pytest.mark.parametrize("guide", GUIDES, ids=guide_name)
def test_make_targets_exist(guide: Path) -> None:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    known = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = {target for code in snippets(guide) for target in TARGET.findall(code)}
    assert named - known == set()


@pytest.mark.parametrize("guide", GUIDES, ids=guide_name)
def test_commands_and_their_options_exist(guide: Path) -> None:
    programs = {
        "bakehouse": typer.main.get_command(bakehouse.cli.app),
        "devstack": typer.main.get_command(devstack.cli.app),
    }
    wrong = []
    for code in snippets(guide):
        for program, name, rest in COMMAND.findall(code):
            command = getattr(programs[program], "commands", {}).get(name)
            if command is None:
                wrong.append(f"{program} {name}")
                continue
            if command.context_settings.get("ignore_unknown_options"):
                continue  # its options are another program's
            command = getattr(command, "commands", {}).get(rest.split()[0] if rest else "", command)
            known = {option for parameter in command.params for option in parameter.opts}
            options = re.findall(r"--[a-z][a-z-]*", rest)
            wrong += [f"{program} {name} {option}" for option in options if option not in known]
    assert wrong == []


@pytest.mark.parametrize("guide", GUIDES, ids=guide_name)
def test_identifiers_occur_in_the_code(guide: Path) -> None:
    """Task ids, fields, Variables, XComs and events, wherever a guide names one in code."""
    named = {
        re.sub(r"_[Nn]$", "", name)
        for word in words(guide)
        for name in WITH_UNDERSCORE.findall(word.replace("_N", ""))
    }
    assert named - source_words() - FOREIGN == set()


@pytest.mark.parametrize("guide", GUIDES, ids=guide_name)
def test_labels_and_metadata_keys_occur_in_the_code(guide: Path) -> None:
    text = source()
    named = {label for word in words(guide) for label in LABEL.findall(word)}
    assert {label for label in named if label not in text} == set()
