"""guest/render.py, run as the guest runs it: another python, files in, files out."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import PROJECT

from bakehouse.guest import render

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
        self,
        attributes: dict[str, str] | None = None,
        project: dict[str, str] | None = None,
        seconds: int = 20,
    ) -> subprocess.CompletedProcess[str]:
        instance = {"name": "vm-1", "id": 12345678901234567890, "attributes": attributes or {}}
        given = {"instance": instance, "project": project or {}, "image": IMAGE}
        for name, value in given.items():
            (self.folder / f"{name}.json").write_text(json.dumps(value))
        options = [f"--{name}={self.folder / name}.json" for name in given]
        script = str(PROJECT / "plugins/bakehouse/guest/render.py")
        paths = (f"--templates={self.templates}", f"--root={self.root}", f"--seconds={seconds}")
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


def test_a_file_keeps_the_owner_and_mode_that_a_package_gave_it(guest: Guest) -> None:
    guest.template("etc/secret.conf.j2", "{{ vars.page }}", 0o644)
    guest.template("usr/bin/run.j2", "new", 0o755)
    (guest.root / "etc").mkdir(parents=True)
    (guest.root / "usr/bin").mkdir(parents=True)
    (guest.root / "etc/secret.conf").write_text("old")
    (guest.root / "etc/secret.conf").chmod(0o4640)
    (guest.root / "usr/bin/run").write_text("old")
    (guest.root / "usr/bin/run").chmod(0o640)
    if os.geteuid() == 0:
        os.chown(guest.root / "etc/secret.conf", 1234, 2345)
        (guest.root / "etc/secret.conf").chmod(0o4640)
    assert guest.render().returncode == 0
    secret = (guest.root / "etc/secret.conf").stat()
    assert (guest.read("etc/secret.conf"), stat.S_IMODE(secret.st_mode)) == ("Hi", 0o4640)
    assert stat.S_IMODE((guest.root / "usr/bin/run").stat().st_mode) == 0o750
    if os.geteuid() == 0:
        assert (secret.st_uid, secret.st_gid) == (1234, 2345)


def test_a_file_is_never_readable_by_more_for_a_moment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("old")
    (tmp_path / "secret").chmod(0o600)
    seen = set[tuple[int, bytes]]()

    def look(*_: object) -> Any:
        for path in tmp_path.iterdir():
            seen.add((stat.S_IMODE(path.stat().st_mode), path.read_bytes()))
        return look

    before = os.umask(0)
    sys.settrace(look)
    try:
        render.write(tmp_path, [render.Entry("secret", stat.S_IFREG | 0o644, b"new")])
    finally:
        sys.settrace(None)
        os.umask(before)
    assert (0o600, b"new") in seen
    assert {mode for mode, _ in seen} == {0o600}


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(guest: Guest) -> None:
    (guest.root / "etc").mkdir(parents=True)
    (guest.root / "other").write_text("stays")
    (guest.root / "other").chmod(0o600)
    (guest.root / "etc/a").symlink_to("../other")
    (guest.root / "etc/b").symlink_to("/dev/null")
    (guest.root / "etc/c").symlink_to("nowhere")
    for name in "abc":
        guest.template(f"etc/{name}.j2", "new")
    assert guest.render().returncode == 0
    modes = [stat.S_IMODE((guest.root / "etc" / name).lstat().st_mode) for name in "abc"]
    assert modes == [0o600, 0o644, 0o644]
    assert [guest.read(f"etc/{name}") for name in "abc"] == ["new"] * 3
    assert guest.read("other") == "stays"


def test_what_stands_in_the_way_is_told_before_anything_is_written(guest: Guest) -> None:
    (guest.root / "etc/folder").mkdir(parents=True)
    (guest.root / "file").write_text("")
    guest.template("a.j2", "new")
    guest.template("etc/folder.j2", "")
    guest.template("file/below.j2", "")
    guest.template("twice.j2", "")
    guest.template("twice", "")
    done = guest.render()
    assert done.returncode == 1
    assert sorted(done.stderr.splitlines()) == [
        "etc/folder:0: /etc/folder is a folder",
        "file/below:0: /file is not a folder",
        "twice:0: two templates are rendered to this file",
    ]
    assert not (guest.root / "a").exists()


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    entries = [render.Entry(f"etc/{name}", stat.S_IFREG | 0o644, b"") for name in ("a", "n" * 256)]
    with pytest.raises(OSError, match="File name too long"):
        render.write(tmp_path, entries[::-1])
    assert list((tmp_path / "etc").iterdir()) == []


HUNGRY = {
    "{{ 'x' * 10 ** 10 }}": "MiB of memory",
    "{{ '%0999999999d' % 1 }}": "MiB of memory",
    "{{ '%0999999999d' | format(1) }}": "MiB of memory",
    "{{ '{:>9999999999}'.format(1) }}": "MiB of memory",
    "{{ 'x'.center(10 ** 10) }}": "MiB of memory",
    "{{ 'x' | center(10 ** 10) }}": "MiB of memory",
    "{{ 'x' | indent(10 ** 10, true) }}": "MiB of memory",
    "{{ [1] | batch(10 ** 10, 'x') | list }}": "MiB of memory",
    "{{ ('x' * 10 ** 6).replace('x', 'y' * 10 ** 6) }}": "MiB of memory",
    "{% for i in range(10 ** 5) %}{{ 'x' * 1000 }}{% endfor %}": "characters",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": "recursion",
    "{% include 'a.j2' %}": "recursion",
    "{{ range(10 ** 9) | list }}": "Range too big",
    "{{ 10 ** (10 ** 8) }}": "too much processor time",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": "time",
    "{{ lipsum(n=10 ** 7) }}": "time",
    "{% set x = 2 %}{{ x ** 10000000 }}": "Exceeds the limit",
}


@pytest.mark.long
@pytest.mark.parametrize("text", HUNGRY)
def test_a_template_that_takes_too_much_is_one_message_with_its_line(
    guest: Guest, text: str
) -> None:
    guest.template("a.j2", f"first\n{text}\n")
    done = guest.render(seconds=1)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("a.j2:2: ")
    assert HUNGRY[text] in line


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ ''|attr('__class__') }}",
        "{{ [''] | map(attribute='__class__') | first }}",
        "{{ '{0.__class__}'.format('') }}",
        "{{ ('{0.__class__}' | string).format('') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ lipsum.__globals__['os'] }}",
        "{{ namespace.__init__ }}",
        "{{ image.update({'image': 'x'}) }}",
        "{{ instance.attributes.clear() }}",
        "{% include '../../etc/passwd' %}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
    ],
)
def test_a_template_reaches_nothing_but_its_names(guest: Guest, text: str) -> None:
    guest.template("a.j2", f"first\n{text}\n")
    done = guest.render()
    assert done.returncode == 1
    assert {line.partition(": ")[0] for line in done.stderr.splitlines()} == {"a.j2:2"}
    assert not guest.root.exists()


def test_a_value_is_no_template(guest: Guest) -> None:
    guest.template("a.j2", "{{ greeting }}")
    guest.render({"greeting": "{{ 7 * 7 }}{% include 'a.j2' %}"})
    assert guest.read("a") == "{{ 7 * 7 }}{% include 'a.j2' %}"
