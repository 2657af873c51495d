"""`bakehouse validate` and plan_bake agree, and give the same reasons."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.git_repository import INSTALL, RECIPE, SCRIPTS, GitRepository, app_repository

from bakehouse.bake.recipe_source import RecipeSource
from bakehouse.config.project import all_mistakes
from bakehouse.core.errors import PermanentError
from bakehouse.recipe.mistakes import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bakehouse.recipe.commit import GitFile

APP = f"{SCRIPTS}/app"
NOISE = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(200_000))
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nsize 12345678\n"
)


def writes(path: str, data: str | bytes, mode: int = 0o644) -> Callable[[GitRepository], object]:
    return lambda work: work.write(path, data, mode)


def links(path: str, target: str) -> Callable[[GitRepository], object]:
    def change(work: GitRepository) -> None:
        (work.folder / path).unlink(missing_ok=True)
        work.link(path, target)

    return change


def all_of(*changes: Callable[[GitRepository], object]) -> Callable[[GitRepository], object]:
    return lambda work: [change(work) for change in changes]


def attributes(text: str, path: str, data: str | bytes) -> Callable[[GitRepository], object]:
    """Commit with attributes, then check everything out again as they want it."""

    def change(work: GitRepository) -> None:
        work.write(".gitattributes", text)
        work.write(path, data)
        work.commit()
        work.git("rm", "-r", "--quiet", "--cached", ".")
        work.git("reset", "--quiet", "--hard")

    return change


def moves(path: str, to: str, target: str) -> Callable[[GitRepository], object]:
    """Leave a link where a folder was."""

    def change(work: GitRepository) -> None:
        (work.folder / path).rename(work.folder / to)
        work.link(path, target)

    return change


def modes_unknown(work: GitRepository) -> None:
    work.write(f"{APP}/run", "x", 0o755)
    work.commit()
    work.git("config", "core.fileMode", "false")
    (work.folder / APP / "run").chmod(0o644)


def submodule(work: GitRepository) -> None:
    other = GitRepository(work.folder.parent / "other")
    other.write("file", "x")
    other.commit()
    work.git("submodule", "--quiet", "add", other.url, f"{APP}/vendor")


def embedded(work: GitRepository) -> None:
    inner = GitRepository(work.folder / APP / "vendor")
    inner.write("file", "x")
    inner.commit()


ACCEPTED: dict[str, tuple[Callable[[GitRepository], object], dict[str, tuple[int, bytes]]]] = {
    "nothing odd": (lambda _: None, {}),
    "markdown": (
        all_of(
            writes(f"{APP}/pkg/README.md", "# x\n"),
            writes(f"{APP}/templates/srv/handbook/index.md", "# Welcome\n"),
        ),
        {
            "pkg/README.md": (0o100644, b"# x\n"),
            "templates/srv/handbook/index.md": (0o100644, b"# Welcome\n"),
        },
    ),
    "an executable": (writes(f"{APP}/run", "x", 0o755), {"run": (0o100755, b"x")}),
    "an executable where the file system knows no modes": (
        modes_unknown,
        {"run": (0o100755, b"x")},
    ),
    "a linked helper": (
        all_of(
            writes(f"{SCRIPTS}/shared/lib.sh", "echo\n"), links(f"{APP}/lib.sh", "../shared/lib.sh")
        ),
        {"lib.sh": (0o100644, b"echo\n")},
    ),
    "a linked install script": (
        all_of(
            writes(f"{SCRIPTS}/shared/install.sh.j2", "echo shared\n"),
            links(INSTALL, "../shared/install.sh.j2"),
        ),
        {"install.sh": (0o100755, b"echo shared\n")},
    ),
    "a linked smoke test": (
        all_of(
            writes("checks.sh", "check a b true\n"),
            links(f"{APP}/smoke_test.sh", "../../../checks.sh"),
        ),
        {},
    ),
    "a linked recipe": (
        all_of(
            writes("include/recipes/web.yaml", "base: a/b\nscripts: app\n"),
            links(RECIPE, "web.yaml"),
        ),
        {},
    ),
    "a linked folder of scripts": (
        moves(APP, f"{SCRIPTS}/web", "web"),
        {},
    ),
    "linked scripts of all recipes": (
        moves(SCRIPTS, "scripts", "../scripts"),
        {},
    ),
    "a link inside": (
        all_of(writes(f"{APP}/a", "x"), links(f"{APP}/b", "a")),
        {"b": (0o120000, b"a")},
    ),
    "a link to the machine": (
        links(f"{APP}/null", "/dev/null"),
        {"null": (0o120000, b"/dev/null")},
    ),
    "a script that includes another recipe's": (
        all_of(
            writes(f"{SCRIPTS}/shared/part.sh", "echo part\n"),
            writes(INSTALL, "{% include 'shared/part.sh' %}"),
        ),
        {"install.sh": (0o100755, b"echo part\n")},
    ),
    "CR LF in the work tree alone": (
        attributes("*.sh text eol=crlf\n", f"{APP}/lib.sh", "a\nb\n"),
        {"lib.sh": (0o100644, b"a\nb\n")},
    ),
    "CR LF by the setting of a person": (
        all_of(
            lambda work: work.git("config", "core.autocrlf", "true"),
            writes(f"{APP}/lib.sh", "a\r\n"),
        ),
        {"lib.sh": (0o100644, b"a\n")},
    ),
    "UTF-16 in the work tree alone": (
        attributes(
            "*.sh working-tree-encoding=UTF-16LE-BOM eol=crlf\n",
            f"{APP}/lib.sh",
            "\ufeffa\r\n".encode("utf-16-le"),
        ),
        {"lib.sh": (0o100644, b"a\n")},
    ),
    "an ident in the work tree alone": (
        attributes("*.sh ident\n", f"{APP}/lib.sh", "# $Id$\n"),
        {"lib.sh": (0o100644, b"# $Id$\n")},
    ),
    "export-ignore": (
        attributes("* export-ignore export-subst\n", f"{APP}/lib.sh", "$Format:%H$\n"),
        {"lib.sh": (0o100644, b"$Format:%H$\n")},
    ),
    "the attribute filter=lfs on a plain file": (
        attributes("*.deb filter=lfs -text\n", f"{APP}/a.deb", b"\0"),
        {"a.deb": (0o100644, b"\0")},
    ),
    "CR LF in the install script": (writes(INSTALL, "a\r\n"), {"install.sh": (0o100755, b"a\n")}),
    "odd names": (
        all_of(
            *(writes(f"{APP}/{name}", name) for name in ("a b", '"', "n\nl", "-x", "É", "e\u0301"))
        ),
        {name: (0o100644, name.encode()) for name in ("a b", '"', "n\nl", "-x", "É", "e\u0301")},
    ),
    "an ignored file, though it is odd": (
        all_of(writes(".gitignore", "*.tmp\n"), links(f"{APP}/a.tmp", "gone")),
        {},
    ),
    "what is odd in a folder that a script includes a file of": (
        all_of(
            links(f"{SCRIPTS}/other/a", "gone"),
            writes(f"{SCRIPTS}/other/part.sh.j2", "echo part\n"),
            writes(INSTALL, '{% include "other/part.sh.j2" %}\n'),
        ),
        {},
    ),
    "a binary": (
        writes(f"{APP}/tool", b"\x7fELF\0\r\n\xff", 0o755),
        {"tool": (0o100755, b"\x7fELF\0\r\n\xff")},
    ),
}

REFUSED: dict[str, tuple[Callable[[GitRepository], object], str]] = {
    "a pointer of Git LFS": (writes(f"{APP}/agent.deb", POINTER), "app/agent.deb"),
    "a pointer beside its attribute": (
        all_of(
            writes(".gitattributes", "*.deb filter=lfs -text\n"), writes(f"{APP}/a.deb", POINTER)
        ),
        "app/a.deb",
    ),
    "a submodule": (submodule, "app/vendor"),
    "a repository in the folder": (embedded, "app/vendor"),
    "a link to nothing": (links(f"{APP}/lib.sh", "../shared/lib.sh"), "app/lib.sh"),
    "a link out of the repository": (links(f"{APP}/a", "../../../../../etc/passwd"), "app/a"),
    "a link to itself": (links(f"{APP}/a", "a"), "app/a"),
    "a link to a folder above": (links(f"{APP}/a", ".."), "app/a"),
    "an install script on this machine": (links(INSTALL, "/etc/motd"), "app/install.sh.j2"),
    "a recipe on this machine": (links(RECIPE, "/etc/motd"), "recipes/app.yaml"),
    "a link to an ignored file": (
        all_of(
            writes(".gitignore", "x.env\n"),
            writes(f"{APP}/x.env", "x"),
            links(f"{APP}/env", "x.env"),
        ),
        "app/env",
    ),
    "an ignored recipe": (writes(".gitignore", "app.yaml\n"), "recipes/app.yaml"),
    "an ignored install script": (writes(".gitignore", "*.j2\n"), "startup_scripts/app/"),
    "CR LF in health": (writes(f"{APP}/health", "#!/bin/bash\r\nexit 0\r\n"), "app/health:1"),
    "CR LF in the smoke test": (
        writes(f"{APP}/smoke_test.sh", "check a b true\r\n"),
        "smoke_test.sh:1",
    ),
    "CR LF in a helper": (writes(f"{APP}/lib.sh", "a\ndir=/opt/app\r\n"), "app/lib.sh:2"),
    "CR LF in a linked helper": (
        all_of(
            writes(f"{SCRIPTS}/shared/lib.sh", "a\r\n"), links(f"{APP}/lib.sh", "../shared/lib.sh")
        ),
        "app/lib.sh:1",
    ),
    "latin-1 in the install script": (
        writes(INSTALL, "a\n# ä\n".encode("latin-1")),
        "install.sh.j2:2",
    ),
    "latin-1 in an included file": (
        all_of(
            writes(f"{APP}/part", "ä".encode("latin-1")),
            writes(INSTALL, "{% include 'app/part' %}"),
        ),
        "app/part:1 is not UTF-8",
    ),
    "UTF-16 in a script": (writes(f"{APP}/gate", "#!/bin/sh\n".encode("utf-16")), "app/gate:1"),
    "a recipe in latin-1": (
        writes(RECIPE, "base: a/b\n# ä\n".encode("latin-1")),
        "recipes/app.yaml:2",
    ),
    "a schedule that never comes": (
        writes(RECIPE, "base: a/b\nschedule: 0 0 31 2 *\n"),
        "recipes/app.yaml:2: schedule never comes",
    ),
    "a schedule of random fields": (
        writes(RECIPE, "base: a/b\nschedule: R R * * *\n"),
        "five cron fields",
    ),
    "a disk type that the machine cannot have": (
        writes(RECIPE, "base: a/b\nbuilder: {machine_type: n4-standard-2}\n"),
        "recipes/app.yaml:2: builder.disk_type is pd-balanced",
    ),
    "a zone outside the subnetwork's region": (
        writes(
            RECIPE,
            "base: a/b\nbuilder: {subnetwork: regions/europe-west3/subnetworks/s}\n",
        ),
        "recipes/app.yaml:2: builder.zones[0] is not in europe-west3",
    ),
    "metadata that is too big together": (
        writes(
            RECIPE,
            "base: a/b\nsmoke:\n  metadata:\n    k0: &big "
            + "x" * 200_000
            + "\n"
            + "".join(f"    k{n}: *big\n" for n in range(1, 4)),
        ),
        "the metadata of the smoke test's VM is 8",
    ),
    "git-crypt": (writes(f"{APP}/key", b"\0GITCRYPT\0x"), "app/key"),
    "a filter of git attributes": (
        all_of(writes(".gitattributes", "secret filter=sops\n"), writes(f"{APP}/secret", "x")),
        "app/secret",
    ),
    "an install.sh beside the template": (writes(f"{APP}/install.sh", "x"), "app/install.sh"),
    "two files for one": (
        all_of(writes(f"{APP}/templates/etc/a", "x"), writes(f"{APP}/templates/etc/a.j2", "x")),
        "app/templates/etc/a",
    ),
    "more than a metadata value": (writes(f"{APP}/big", NOISE), "big ("),
    "an unknown name": (
        writes(INSTALL, "true\necho {{ vars.none | sh }}\n"),
        "app/install.sh.j2:2",
    ),
    "a broken replacement of ours": (
        writes(f"{SCRIPTS}/boot.sh.j2", "{{ nobody }}\n"),
        "boot.sh.j2:1",
    ),
    "a linked replacement of ours": (links(f"{SCRIPTS}/boot.sh.j2", "gone"), "boot.sh.j2"),
    "an unquoted value in an included file": (
        all_of(
            writes(f"{SCRIPTS}/shared/x.sh", "\n{{ git_sha }}\n"),
            writes(INSTALL, "{% include 'shared/x.sh' %}"),
        ),
        "shared/x.sh:2",
    ),
}


@pytest.fixture
def work(tmp_path: Path) -> GitRepository:
    made = app_repository(tmp_path / "work")
    made.write(f"{APP}/health", "#!/bin/sh\n", 0o755)  # a recipe must check something
    return made


def planned(monkeypatch: pytest.MonkeyPatch, host: str) -> Mapping[str, GitFile]:
    """What plan_bake does with a recipe, before it asks for its base image."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_BAKEHOUSE_REPO", json.dumps({"conn_type": "git", "host": host})
    )
    source = RecipeSource("bakehouse_repo")
    commit = source.resolve("app", "HEAD", datetime(2027, 1, 1, tzinfo=UTC))
    return source.read("app", commit).render({}, None).files


def validated(work: GitRepository) -> str:
    return as_text(all_mistakes(work.folder / "include"))


@pytest.mark.parametrize("form", ["path", "url"])
@pytest.mark.parametrize("name", ACCEPTED)
def test_what_validate_accepts_is_planned_with_every_file(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    change, right = ACCEPTED[name]
    change(work)
    assert validated(work) == ""  # before the commit, and after it
    work.commit()
    assert validated(work) == ""
    files = planned(monkeypatch, str(work.folder) if form == "path" else work.url)
    assert {path: tuple(files[f"recipe/{path}"]) for path in right} == right


@pytest.mark.parametrize("form", ["path", "url"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_validate_refuses_is_not_planned_for_the_same_reason(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    change, words = REFUSED[name]
    change(work)
    assert words in validated(work)
    work.commit()
    assert words in validated(work)
    with pytest.raises(PermanentError) as told:
        planned(monkeypatch, str(work.folder) if form == "path" else work.url)
    assert words in str(told.value)


def test_a_folder_without_git_is_validated_as_it_lies_there(work: GitRepository) -> None:
    for name in ("CR LF in a helper", "a link to nothing", "an install.sh beside the template"):
        REFUSED[name][0](work)
    (work.folder / ".git").rename(work.folder.parent / "git")
    told = validated(work)
    assert all(words in told for words in ("app/lib.sh", "app/install.sh"))
    (work.folder / "include").rename(work.folder / "elsewhere")
    assert as_text(all_mistakes(work.folder / "elsewhere")) == told


def test_all_mistakes_of_all_files_are_told_at_once(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("CR LF in health", "a link to itself", "a pointer of Git LFS", "git-crypt")
    for name in names:
        REFUSED[name][0](work)
    told = validated(work)
    assert all(REFUSED[name][1] in told for name in names)
    work.commit()
    with pytest.raises(PermanentError) as refused:
        planned(monkeypatch, str(work.folder))
    assert all(REFUSED[name][1] in str(refused.value) for name in names)


def test_mistakes_of_scripts_and_templates_are_told_at_one_try(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.write(f"{APP}/install.sh.j2", "echo {{ vars.nobody | sh }}\n")
    work.write(f"{APP}/lib.sh", "fi\n")
    work.write(f"{APP}/templates/etc/app.conf.j2", "a={{ unknown }}\n")
    work.link(f"{APP}/lost", "../nowhere")
    words = ("'vars.nobody' is undefined", "lib.sh:1", "unknown is not defined", "app/lost")
    told = validated(work)
    assert all(one in told for one in words)
    work.commit()
    with pytest.raises(PermanentError) as refused:
        planned(monkeypatch, str(work.folder))
    assert all(one in str(refused.value) for one in words)


def test_a_recipe_that_cannot_be_read_does_not_hide_the_mistakes_of_its_scripts(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.write("include/recipes/app.yaml", "bsae: debian-cloud/debian-12\n")
    work.write(f"{APP}/lib.sh", "fi\n")
    work.commit()
    with pytest.raises(PermanentError) as refused:
        planned(monkeypatch, str(work.folder))
    for one in ("Did you mean base?", "lib.sh:1: is no script that bash can read"):
        assert one in str(refused.value)
        assert one in validated(work)
