"""The commit of a run through Airflow's git connection: every kind of repository and trouble."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.http_servers import running
from tests.support.plans import NOW

from bakehouse.bake.recipe_source import RecipeSource, Sources
from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.images.labels import label_value

from .walk import Walk

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.bake.plan import BakePlan

RECIPE = "include/recipes/web.yaml"
SCRIPT = "include/startup_scripts/web/install.sh.j2"
Connect = Callable[..., None]


class Work:
    """A repository, one commit for each call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit({RECIPE: "base: a/b\n", SCRIPT: "true\n"})

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=T", "-c", "user.email=t@example.org")
        command = ("git", "-C", str(self.folder), *who, *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: dict[str, str], why: str = "Change") -> str:
        for path, text in files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", why)
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def force_push(self) -> str:
        """The tip is replaced and forgotten; the hash that was lost."""
        lost = self.head
        self.git("commit", "--quiet", "--amend", "--message", "Rewritten")
        self.git("reflog", "expire", "--expire=now", "--all")
        self.git("gc", "--quiet", "--prune=now")
        return lost


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def set_(host: str, **fields: Any) -> None:
        connection = {"conn_type": "git", "host": host, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_BAKEHOUSE_REPO", json.dumps(connection))

    return set_


def resolve(**params: Any) -> dict[str, Any]:
    told: dict[str, Any] = Walk("web", "manual__1", **params).try_("resolve_commit")
    return told


def read(plan: BakePlan) -> Sources:
    return RecipeSource("bakehouse_repo").read(plan.recipe, plan.commit)


def at(plan: BakePlan, sha: str) -> BakePlan:
    return plan.model_copy(update={"commit": plan.commit.model_copy(update={"sha": sha})})


def test_a_local_path(work: Work, connect: Connect) -> None:
    connect(str(work.folder))
    assert resolve()["sha"] == work.head


def test_a_remote_without_credentials(work: Work, connect: Connect) -> None:
    connect(f"file://{work.folder}")
    assert resolve(git_ref="main")["sha"] == work.head


def test_a_remote_by_http_with_the_connections_token(work: Work, connect: Connect) -> None:
    with served(work, "robot", "s3cret") as url:
        connect(url, login="robot", password="s3cret")
        assert resolve()["sha"] == work.head
        connect(url, login="robot", password="wrong")
        with pytest.raises(PermanentError, match="refuses the credentials"):
            resolve()


def test_a_remote_by_ssh_with_the_connections_key(
    work: Work, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ssh` is a stub that writes down its arguments and runs the command here."""
    asked = fake_ssh(tmp_path, monkeypatch)
    extra = {"private_key": "KEY", "strict_host_key_checking": "yes", "ssh_port": 2222}
    connect(f"ssh://git@example.org{work.folder}", extra=extra)
    assert resolve()["sha"] == work.head
    told = asked.read_text()
    assert "-p 2222" in told
    assert "StrictHostKeyChecking=yes" in told
    assert "the key: KEY" in told


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("/nowhere", PermanentError),
        ("https://127.0.0.1:1/x.git", TransientError),
        ("file:///nowhere", TransientError),
    ],
)
def test_a_missing_repository(connect: Connect, host: str, error: type[Exception]) -> None:
    connect(host)
    with pytest.raises(error, match=r"nowhere|127\.0\.0\.1"):
        resolve()


def test_a_commit_without_the_recipe_ends_the_run_at_its_first_task(
    work: Work, connect: Connect
) -> None:
    work.git("rm", "--quiet", RECIPE)
    work.commit({})
    connect(str(work.folder))
    with pytest.raises(PermanentError, match=r"has no include/recipes/web\.yaml"):
        resolve()


def test_a_recipe_that_is_broken_at_that_commit(work: Work, connect: Connect) -> None:
    work.commit({RECIPE: "base: 7\n"})
    connect(str(work.folder))
    with pytest.raises(PermanentError, match=r"web\.yaml:1: base"):
        resolve()


def test_an_unknown_ref_ends_the_run_at_its_first_task(work: Work, connect: Connect) -> None:
    connect(str(work.folder))
    with pytest.raises(PermanentError, match="no branch, tag or commit release-9"):
        resolve(git_ref="release-9")


def test_a_dirty_tree_is_told_and_not_baked(
    work: Work, connect: Connect, capsys: pytest.CaptureFixture[str]
) -> None:
    (work.folder / SCRIPT).write_text("changed\n")
    connect(str(work.folder))
    commit = resolve()
    assert (commit["sha"], commit["dirty"]) == (work.head, [SCRIPT])
    assert f"1 uncommitted changes are not baked: {SCRIPT}" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_planned_commit_that_was_forced_away(
    work: Work, connect: Connect, plan: BakePlan, scheme: str
) -> None:
    lost = work.force_push()
    connect(f"{scheme}{work.folder}")
    with pytest.raises(PermanentError, match=r"force-push.*clear resolve_commit and downstream"):
        read(at(plan, lost))


def test_a_server_that_keeps_what_was_forced_away_still_gives_it(
    work: Work, connect: Connect, plan: BakePlan
) -> None:
    lost = work.head
    work.git("config", "uploadpack.allowAnySHA1InWant", "true")
    work.git("commit", "--quiet", "--amend", "--message", "Rewritten")
    connect(f"file://{work.folder}")
    assert read(at(plan, lost)).recipe.name == "web"


def test_a_retry_after_a_force_push_takes_what_is_there_now(work: Work, connect: Connect) -> None:
    connect(f"file://{work.folder}")
    before = resolve()["sha"]
    assert work.force_push() == before
    assert resolve()["sha"] == work.head != before


def test_a_shallow_clone(work: Work, connect: Connect, tmp_path: Path, plan: BakePlan) -> None:
    old = work.head
    work.commit({"a": "1"})
    shallow = tmp_path / "shallow"
    work.git("clone", "--quiet", "--depth=1", f"file://{work.folder}", str(shallow))
    connect(str(shallow))
    assert resolve()["sha"] == work.head
    for ask in (
        lambda: resolve(git_ref="HEAD~1"),
        lambda: read(at(plan, old)),
    ):
        with pytest.raises(PermanentError, match="unshallow"):
            ask()


def test_what_is_labelled(plan: BakePlan) -> None:
    ref = "feature/Kafka_4.0~1"
    commit = plan.commit.model_copy(update={"ref": ref})
    made = plan.model_copy(update={"commit": commit}).provenance
    told = made.labels("image", "candidate", NOW)
    assert told["git-sha"] == plan.commit.sha
    assert told["git-ref"] == label_value(ref) == "feature-kafka_4-0-1"
    assert told["bakehouse-recipe"] == "web"
    assert plan.commit.subject not in told.values()


def test_a_night_takes_the_newest_commit_of_its_time(work: Work, connect: Connect) -> None:
    connect(str(work.folder))
    first = work.head
    with pytest.raises(PermanentError, match="no commit as early as 2020-01-01"):
        Walk("web", "scheduled__1", "scheduled", night=datetime(2020, 1, 1, tzinfo=UTC)).try_(
            "resolve_commit"
        )
    assert resolve()["sha"] == first


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_commit_of_tomorrow_is_passed_over_with_a_warning_and_a_tag_is_not(
    work: Work, connect: Connect, capsys: pytest.CaptureFixture[str], scheme: str
) -> None:
    """The clock of whoever made it is ahead."""
    before = work.head
    ahead = f"{int(datetime.now(UTC).timestamp()) + 900} +0000"
    environment = {**os.environ, "GIT_AUTHOR_DATE": ahead, "GIT_COMMITTER_DATE": ahead}
    who = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    command = ("git", *who, "commit", "--quiet", "--allow-empty", "--message", "the fix")
    subprocess.run(command, cwd=work.folder, check=True, env=environment)
    work.git("tag", "v2.1")
    connect(f"{scheme}{work.folder}")
    assert resolve(git_ref="v2.1")["sha"] == work.head
    assert "passed over" not in capsys.readouterr().out
    assert resolve()["sha"] == before
    told = capsys.readouterr().out
    assert f"commit {work.head} was passed over: its date, 20" in told
    assert "[warning" in told.split("was passed over")[0].splitlines()[-1]


def test_a_partial_clone_whose_origin_does_not_answer_is_tried_again(
    work: Work, connect: Connect, tmp_path: Path
) -> None:
    work.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    how = ("clone", "--quiet", "--filter=blob:none", "--no-checkout")
    work.git(*how, f"file://{work.folder}", str(partial))
    work.folder.rename(tmp_path / "away")
    connect(str(partial))
    with pytest.raises(TransientError, match="is a partial clone without the files of commit"):
        resolve()


def fake_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    asked, stub = folder / "asked", folder / "bin/ssh"
    stub.parent.mkdir()
    stub.write_text(
        "#!/bin/bash\nfor a; do last=$a; [[ $before != -i ]] || key=$a; before=$a; done\n"
        f'echo "$* the key: $(cat "$key")" >>{asked}\nexec sh -c "$last"\n'
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    return asked


@contextmanager
def served(work: Work, user: str, password: str) -> Generator[str]:
    """The repository over HTTP, for whoever knows the password."""
    work.git("update-server-info")
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Guarded(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == wanted:
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    handler = partial(Guarded, directory=str(work.folder))
    with running(handler) as port:
        yield f"http://127.0.0.1:{port}/.git"
