"""guest/render.py, run as the guest runs it: another python, files in, files out."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.paths import PROJECT

IMAGE = {"image": "app-1", "git_sha": "c0ffee", "vars": {"page": "Hi", "port": 80}}


class Guest:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.templates = folder / "templates"
        self.templates.mkdir()

    def template(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.templates / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def render(
        self, attributes: dict[str, str] | None = None, project: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        instance = {"name": "vm-1", "id": 12345678901234567890, "attributes": attributes or {}}
        given = {"instance": instance, "project": project or {}, "image": IMAGE}
        for name, value in given.items():
            (self.folder / f"{name}.json").write_text(json.dumps(value))
        options = [f"--{name}={self.folder / name}.json" for name in given]
        script = str(PROJECT / "plugins/bakehouse/guest/render.py")
        paths = (f"--templates={self.templates}", f"--root={self.root}")
        command = (sys.executable, "-I", script, *options, *paths)
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


def test_every_name_a_template_may_use(guest: Guest) -> None:
    guest.template(
        "etc/app.conf.j2",
        "{{ broker_id }} {{ attributes['broker-id'] }} {{ rack }} {{ instance.name }}"
        " {{ instance.id }} {{ image.git_sha }} {{ vars.port }}\n",
    )
    done = guest.render({"broker-id": "7"}, {"rack": "r1", "broker-id": "8"})
    assert (done.returncode, done.stderr) == (0, "")
    assert guest.read("etc/app.conf") == "7 7 r1 vm-1 12345678901234567890 c0ffee 80\n"
    assert done.stdout == "/etc/app.conf\n"


def test_ours_win_over_attributes_of_the_same_name(guest: Guest) -> None:
    guest.template("a.j2", "{{ image.image }} {{ vars.page }} {{ attributes.image }}")
    guest.render({"image": "theirs", "vars": "theirs"})
    assert guest.read("a") == "app-1 Hi theirs"


def test_all_mistakes_at_once_and_nothing_written(guest: Guest) -> None:
    guest.template("etc/a.conf.j2", "fine\nport={{ port }}\n")
    guest.template("etc/b.conf.j2", "{% if %}\n")
    guest.template("etc/c.conf.j2", "{{ vars.page.title.deeper }}")
    guest.template("etc/d.conf", "copied")
    done = guest.render()
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "etc/a.conf.j2:2: 'port' is undefined"
    assert done.stderr.splitlines()[1].startswith("etc/b.conf.j2:1: Expected an expression")
    assert len(done.stderr.splitlines()) == 3
    assert not guest.root.exists()


def test_every_undefined_name_of_a_file_at_once(guest: Guest) -> None:
    guest.template(
        "etc/a:b.conf.j2",
        "{{ one }} {{ two.three['four'] }}\n{% for x in five %}{{ x }}{% endfor %}\n"
        "{% if six %}{% endif %}{{ seven == 1 }}\n{{ eight + 1 }}{{ nine | length }}\n"
        "{{ [ten, eleven] | tojson }}{{ vars.twelve }}{{ vars.page }}{{ one is defined }}\n",
    )
    done = guest.render()
    assert done.returncode == 1
    told = [line.split(":", 2) for line in done.stderr.splitlines()]
    assert {file for file, *_ in told} == {"etc/a"}
    names = {(rest.split(":")[0], rest.split("'")[-2]) for *_, rest in told}
    assert names == {
        *(("1", name) for name in ("one", "two")),
        *(("2", name) for name in ("five",)),
        *(("3", name) for name in ("six", "seven")),
        *(("4", name) for name in ("eight", "nine")),
        *(("5", name) for name in ("ten", "eleven", "twelve")),
    }
    assert not guest.root.exists()


def test_an_error_in_an_included_template_names_that_one(guest: Guest) -> None:
    guest.template("main.conf.j2", "{% include 'part.conf.j2' %}")
    guest.template("part.conf.j2", "\n\n{{ nothing }}")
    lines = guest.render().stderr.splitlines()
    assert set(lines) == {"part.conf.j2:3: 'nothing' is undefined"}


def test_an_undefined_name_inside_json_is_told_by_its_name(guest: Guest) -> None:
    guest.template("a.json.j2", "{{ {'motto': motto} | tojson }}")
    assert guest.render().stderr.splitlines() == ["a.json.j2:1: 'motto' is undefined"]


def test_modes_links_and_plain_files(guest: Guest) -> None:
    guest.template("usr/bin/run.j2", "#!/bin/sh\n", 0o750)
    guest.template("etc/plain", "{{ not rendered }}", 0o600)
    (guest.templates / "etc/link").symlink_to("plain")
    assert guest.render().returncode == 0
    assert stat.S_IMODE((guest.root / "usr/bin/run").stat().st_mode) == 0o750
    assert stat.S_IMODE((guest.root / "etc/plain").stat().st_mode) == 0o600
    assert guest.read("etc/plain") == "{{ not rendered }}"
    assert (guest.root / "etc/link").readlink() == Path("plain")


def test_markup_is_escaped_and_config_is_not(guest: Guest) -> None:
    guest.template("index.html.j2", "{{ greeting }}")
    guest.template("app.conf.j2", "{{ greeting }}")
    guest.render({"greeting": "<b>&"})
    assert (guest.read("index.html"), guest.read("app.conf")) == ("&lt;b&gt;&amp;", "<b>&")


def test_rendering_again_replaces(guest: Guest) -> None:
    guest.template("etc/app.conf.j2", "{{ a }}")
    guest.render({"a": "1"})
    guest.render({"a": "2"})
    assert guest.read("etc/app.conf") == "2"
    assert [path.name for path in (guest.root / "etc").iterdir()] == ["app.conf"]
