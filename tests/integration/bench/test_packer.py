"""What `make bench-packer` makes of what Go, Packer and machines say."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

TOLD = [
    (1.0, "googlecompute.recipe: output will be in this color."),
    (4.0, "==> googlecompute.recipe: Creating instance..."),
    (5.0, "    googlecompute.recipe: Requesting instance creation..."),
    (9.0, "    googlecompute.recipe: Instance has been created!"),
    (10.0, "==> googlecompute.recipe: Running local shell script: /tmp/packer-shell1"),
    (105.0, "==> googlecompute.recipe: Deleting instance..."),
    (115.0, "==> googlecompute.recipe: Creating image..."),
    (130.0, "==> googlecompute.recipe: Deleting disk..."),
]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "bench"))


@pytest.fixture
def bench() -> Any:
    return importlib.import_module("packer")


@pytest.fixture
def programs() -> Any:
    return importlib.import_module("packer_programs")


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str, str], Path]:
    """A program of this name in the language of the shell."""

    def written(name: str, text: str) -> Path:
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/bash\n{text}", encoding="utf-8")
        file.chmod(0o755)
        return file

    return written


def turn(bench: Any, before: float, machine: float, image: float, after: float) -> Any:
    return bench.Turn(before, machine, image, before + machine + image + after)


def test_the_figures_are_of_the_sums_and_only_the_first_has_a_goal(bench: Any) -> None:
    ours = [turn(bench, 4, 90, 6, 50), turn(bench, 4, 80, 6, 40)]
    on_base = [turn(bench, 4, 70, 6, 50), turn(bench, 4, 60, 6, 40)]
    theirs = [turn(bench, 5, 110, 35, 5), turn(bench, 5, 110, 35, 5)]
    quicker = [turn(bench, 5, 90, 5, 5), turn(bench, 5, 90, 5, 5)]
    sides = dict(zip(bench.SIDES, (ours, on_base, theirs, quicker), strict=True))
    plain, based, tested, over_quicker = bench.Turns(77.04, sides).figures()
    assert (based["name"], based["value"], based["goal"], based["base"]) == (
        "bake_over_packer_on_baked_base",
        round(150 / 300, 3),
        None,
        77.0,
    )
    assert (over_quicker["name"], over_quicker["value"], over_quicker["goal"]) == (
        "bake_over_packer_startup_script",
        round(190 / 200, 3),
        None,
    )
    assert (plain["name"], plain["value"], plain["goal"]) == (
        "bake_over_packer",
        round(190 / 300, 3),
        "<= 0.7",
    )
    assert (tested["name"], tested["value"], tested["goal"]) == (
        "tested_bake_over_packer",
        round(280 / 300, 3),
        None,
    )
    assert plain["seconds"] == tested["seconds"]
    assert json.loads(json.dumps(plain))["seconds"]["ours"][0] == {
        "before": 4.0,
        "machine": 90.0,
        "image": 6.0,
        "labelled": 100.0,
        "after": 50.0,
        "whole": 150.0,
    }
    assert bench.met(plain)
    slow = bench.Turns(77.0, {side: [turn(bench, 4, 200, 6, 0)] for side in bench.SIDES})
    assert not bench.met(next(slow.figures()))


def test_one_turn_two_turns_and_three_are_in_order(bench: Any) -> None:
    there = ["ours", "ours_on_base", "login", "startup_script"]
    assert bench.order(1) == there
    assert bench.order(2) == [*there, *there[::-1]]
    assert bench.order(3) == [*there, *there[::-1], *there]


def test_the_machine_of_packer_is_between_its_request_and_the_first_deletion(bench: Any) -> None:
    assert bench.moments([*TOLD, (140.0, "Deleting instance...")]) == (5.0, 105.0)


@pytest.mark.parametrize("said", [[], TOLD[:3], TOLD[5:]])
def test_a_packer_without_a_machine_gives_no_figure(bench: Any, said: Any) -> None:
    with pytest.raises(bench.CannotMeasure, match="Packer tells of no machine"):
        bench.moments(said)


def test_an_image_counts_when_it_is_new_ready_and_labelled(bench: Any) -> None:
    def image(name: str, status: str = "READY", **labels: str) -> dict[str, Any]:
        return {"name": name, "status": status, **({"labels": labels} if labels else {})}

    images = [
        *(image("old", a="b"), image("bare"), image("half", "PENDING", a="b"), image("new", a="b")),
    ]
    assert list(bench.ready(images, {"old"})) == ["new"]


def test_the_image_is_looked_for_as_long_as_the_bake_takes(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.bake_real, "LOOK_EVERY", 0.01)
    there = threading.Event()
    labelled = {"name": "new", "status": "READY", "labels": {"a": "b"}}

    class Compute:
        def images(self) -> list[dict[str, Any]]:
            return [labelled] if there.is_set() else []

        def another(self) -> Compute:
            return self

        def close(self) -> None:
            self.closed = True

    compute = Compute()
    with bench.labelled_image(compute) as seen:
        with pytest.raises(bench.CannotMeasure, match="no labelled image was seen"):
            bench.in_time(seen)
        began = time.time()
        there.set()
        while not seen.at:
            time.sleep(0.01)
    assert compute.closed
    assert bench.in_time(seen) >= began


def test_an_image_that_comes_with_the_end_of_its_program_is_seen(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.bake_real, "LOOK_EVERY", 600)  # pytest's own time limit is below
    images: list[dict[str, Any]] = []
    compute = SimpleNamespace(images=lambda: list(images), close=lambda: None)
    compute.another = lambda: compute
    with bench.labelled_image(compute) as seen:
        images.append({"name": "new", "status": "READY", "labels": {"a": "b"}})
    assert bench.in_time(seen)


def declared(template: str) -> set[str]:
    return set(re.findall(r'^variable "(\w+)"', template, re.MULTILINE))


def test_packer_gets_a_value_for_each_variable_of_its_template(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = bench.TEMPLATE.read_text("utf-8")
    payload = {
        "bakehouse-payload": "cGF5",
        "startup-script": "not Packer's",
        "bakehouse-ready": "x",
    }
    monkeypatch.setattr(bench.bake_real, "install_metadata", lambda _bed, _name: payload)
    compute = SimpleNamespace(url="http://127.0.0.1:8790", project="demo")
    found = SimpleNamespace(program=Path("/cache/packer"))
    bed = SimpleNamespace(compute=compute)
    command = bench.build_command(bed, found, tmp_path, "login", "packer-web-1")
    file = tmp_path / "values.pkrvars.json"
    assert command == [
        *("/cache/packer", "build", "-only=googlecompute.login", f"-var-file={file}"),
        str(bench.TEMPLATE),
    ]
    assert set(re.findall(r'^    name += "(\w+)"', template, re.MULTILINE)) == set(bench.WAYS)
    values = json.loads(file.read_text("utf-8"))
    assert set(values) == declared(template) == set(re.findall(r"\bvar\.(\w+)", template))
    assert values["endpoint"] == "http://127.0.0.1:8790/compute/v1/"
    assert values["metadata"] == {"bakehouse-payload": "cGF5"}
    assert values["labels"]
    serial = "projects/demo/zones/us-central1-a/instances/packer-web-1/serialPort"
    limit = f"{bench.bake_real.READY_DEADLINE:.0f}"
    assert values["wait"] == f"bash {bench.WAIT} {values['endpoint']}{serial} {limit}"


def test_packer_installs_what_is_installed_by_hand_and_then_says_so(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bench.bake_real, "install_metadata", lambda _bed, _name: {"bakehouse-payload": "x"}
    )
    compute = SimpleNamespace(url="http://127.0.0.1:8790", project="demo")
    found = SimpleNamespace(program=Path("/cache/packer"))
    bench.build_command(SimpleNamespace(compute=compute), found, tmp_path, "login", "x")
    script = (tmp_path / "install.sh").read_text("utf-8")
    by_hand = bench.bake_real.BY_HAND.read_text("utf-8")
    assert script.startswith(by_hand)
    assert script.splitlines()[-2:] == ["sync", "echo 'INSTALL DONE' >/dev/ttyS0"]
    assert "poweroff" not in script.split("set -Eeuo")[1]
    subprocess.run(("bash", "-n", str(tmp_path / "install.sh")), check=True)


@pytest.mark.parametrize(
    ("serial", "limit", "code", "words"),
    [
        ("boot\\nINSTALL DONE\\n", "60", 0, ""),
        ("boot\\nINSTALL FAILED: line 3: apt-get\\n", "60", 1, "INSTALL FAILED: line 3"),
        ("boot\\n", "1", 1, "the install has not ended within"),
    ],
)
def test_packer_waits_for_the_line_of_the_install(
    bench: Any, program: Callable[[str, str], Path], serial: str, limit: str, code: int, words: str
) -> None:
    curl = program("curl", f"""printf '%s' '{{"contents": "{serial}"}}'\n""")
    path = f"{curl.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(bench.WAIT), "http://127.0.0.1:1/serialPort", limit],
        env={**os.environ, "PATH": path},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, words in done.stdout) == (code, True), done


def test_a_program_that_fails_says_why(bench: Any, program: Callable[[str, str], Path]) -> None:
    packer = program("packer", "echo '==> Creating image...'; echo 'quota exceeded' >&2; exit 3\n")
    with pytest.raises(bench.CannotMeasure, match=r"packer ended with 3: .*quota exceeded"):
        bench.told_by([str(packer), "build"], dict(os.environ), 60)


def test_the_reason_of_a_failure_stands_before_what_packer_cleans_up(bench: Any) -> None:
    told = [
        "    recipe: boot INSTALL FAILED: line 20: apt-get update",
        "==> recipe: Provisioning step had errors: Running the cleanup provisioner",
        *[f"==> recipe: Deleting disk {number}..." for number in range(9)],
    ]
    assert bench.last([(1.0, text) for text in told]) == " | ".join(told[:2])
    assert bench.last([(1.0, text) for text in told[2:]]) == " | ".join(told[-4:])
    assert bench.last([]) == ""


CLEANS_UP = """
trap 'echo "==> Deleting instance..."; touch "$1/cleaned"; exit 1' INT
bash -c 'trap "" INT; echo $$ >"$1/plugin"; while :; do sleep 0.1; done' plugin "$1" &
touch "$1/started"
while :; do sleep 0.1; done
"""


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # dead, and not waited for by whoever adopted it


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():  # pytest's own time limit ends it
        time.sleep(0.05)


def test_a_packer_that_takes_too_long_deletes_its_machine_and_leaves_no_process(
    bench: Any,
    program: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packer = program("packer", CLEANS_UP)
    plugin = tmp_path / "plugin"

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def wait(self, timeout: float | None = None) -> int:
            if timeout == 3:  # they have passed as soon as its plugin runs
                wait_for(lambda: plugin.exists() and plugin.stat().st_size > 1)
                raise subprocess.TimeoutExpired("packer", timeout)
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(bench.CannotMeasure, match="packer took more than 3 s"):
        bench.told_by([str(packer), str(tmp_path)], dict(os.environ), 3)
    assert (tmp_path / "cleaned").exists()
    wait_for(lambda: is_gone(int(plugin.read_text("utf-8"))))


BENCH = """
import os, sys
sys.path.insert(0, sys.argv[1])
import packer
from devstack.signals import ending_raises
packer.bake_real.stack = lambda: packer.told_by(sys.argv[2:], dict(os.environ), 600)
with ending_raises():
    sys.exit(packer.main([], lambda: None))
"""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_bench_that_is_ended_lets_packer_clean_up_and_leaves_no_process(
    program: Callable[[str, str], Path], tmp_path: Path, number: signal.Signals
) -> None:
    packer, plugin = program("packer", CLEANS_UP), tmp_path / "plugin"
    command = [sys.executable, "-c", BENCH, str(PROJECT / "bench"), str(packer), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: plugin.exists() and plugin.stat().st_size > 1)
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 128 + number, errors
    assert errors.splitlines()[-1] == f"bake_over_packer: ended by {number.name}"
    assert "Traceback" not in errors
    assert (tmp_path / "cleaned").exists()
    wait_for(lambda: is_gone(int(plugin.read_text("utf-8"))))


def test_the_wait_for_the_install_ends_with_the_packer_that_began_it(
    bench: Any, program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    kept, asked = tmp_path / "pid", tmp_path / "asked"  # bash then knows who has begun it
    curl = program("curl", f"touch {asked}\necho '{{}}'\n")
    path = f"{curl.parent}{os.pathsep}{os.environ['PATH']}"
    provisioner = f"bash {bench.WAIT} http://127.0.0.1:1 3600 & echo $! >{kept}; wait"
    with subprocess.Popen(["bash", "-c", provisioner], env={**os.environ, "PATH": path}) as shell:
        wait_for(lambda: kept.exists() and kept.stat().st_size > 1 and asked.exists())
        pid = int(kept.read_text("utf-8"))
        assert not is_gone(pid)
        shell.kill()
    wait_for(lambda: is_gone(pid))


def test_machines_of_a_packer_that_failed_are_deleted(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deleted = []

    class Compute:
        url, project = "http://127.0.0.1:1", "demo"

        def images(self) -> list[Any]:
            return []

        def another(self) -> Compute:
            return self

        def close(self) -> None:
            pass

        def delete_machines(self) -> None:
            deleted.append(True)

    def fails(*_: Any) -> Any:
        raise bench.CannotMeasure("packer ended with 1")

    monkeypatch.setattr(bench, "build_command", lambda *_: ["packer"])
    monkeypatch.setattr(bench, "told_by", fails)
    found = SimpleNamespace(environment=lambda _folder: {})
    with pytest.raises(bench.CannotMeasure, match="packer ended with 1"):
        bench.by_packer(SimpleNamespace(compute=Compute()), found, tmp_path, "login", "x")
    assert deleted == [True]


def test_our_time_begins_with_the_commit_and_the_image_counts_before_its_test(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Compute:
        def images(self) -> list[dict[str, Any]]:
            return [{"name": name, "status": "READY", "labels": {"a": "b"}} for name in made]

        def another(self) -> Compute:
            return self

        def close(self) -> None:
            pass

    def watched_bake(_bed: Any, recipe: str) -> Any:
        assert (recipe, committed) == ("web", ["A commit to bake"])
        made.append("web-1")
        return bench.bake_real.Bake(1001, 1150, 1004, 1090, 1095, 1140)

    committed: list[str] = []
    monkeypatch.setattr(bench.bake_real, "watched_bake", watched_bake)
    monkeypatch.setattr(bench, "time", SimpleNamespace(time=lambda: 1000.0))
    monkeypatch.setattr(bench, "in_time", lambda _seen: 1096.0)
    found = bench.by_us(SimpleNamespace(compute=Compute(), commit=committed.append), "web")
    assert found.parts() == {
        "before": 4.0,
        "machine": 86.0,
        "image": 6.0,
        "labelled": 96.0,
        "after": 54.0,
        "whole": 150.0,
    }


def test_the_base_is_baked_before_the_recipe_on_it_is_there(bench: Any) -> None:
    """Otherwise its promotion would trigger a bake of that one, beside the measured ones."""
    done: list[str] = []

    class Bed:
        project = PROJECT

        def add_recipe(self, name: str, files: dict[str, str]) -> None:
            done.append(f"add {name}: {' '.join(files)}")
            if name == bench.ON_BASE:
                (text,) = files.values()
                assert "recipe: debian" in text
                assert "scripts: web" in text

        def bake(self, dag_id: str, _deadline: float, **conf: object) -> Any:
            done.append(f"bake {dag_id} {conf}")
            return SimpleNamespace(state="success")

    assert bench.bake_base(Bed()) >= 0
    assert done == [
        "add debian: include/recipes/debian.yaml include/startup_scripts/debian/install.sh.j2",
        "bake bake__debian {'force': True}",
        "add web-on-debian: include/recipes/web-on-debian.yaml",
    ]


@pytest.mark.parametrize(("packer", "status"), [(200.0, 0), (120.0, 1)])
def test_a_line_of_json_is_printed_for_each_figure_and_a_missed_goal_ends_with_1(
    bench: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    packer: float,
    status: int,
) -> None:
    def by_us(_bed: Any, recipe: str) -> Any:
        print("noise")
        return turn(bench, 4, 90 if recipe == "web" else 70, 6, 50)

    names = []

    def by_packer(_bed: Any, _found: Any, _folder: Path, way: str, name: str) -> Any:
        names.append(name)
        return turn(bench, 0, packer if way == "login" else 80.0, 0, 1)

    closed = []
    monkeypatch.setattr(bench.bake_real, "stack", lambda: None)
    monkeypatch.setattr(bench.bake_real, "close", lambda: closed.append(True))
    monkeypatch.setattr(bench, "bake_base", lambda _bed: 77.0)
    monkeypatch.setattr(bench, "by_us", by_us)
    monkeypatch.setattr(bench, "by_packer", by_packer)
    assert bench.main([], lambda: None) == status
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["name"], line["value"]) for line in lines] == [
        ("bake_over_packer", round(100 / packer, 3)),
        ("bake_over_packer_on_baked_base", round(80 / packer, 3)),
        ("tested_bake_over_packer", round(150 / packer, 3)),
        ("bake_over_packer_startup_script", 1.25),
    ]
    assert {len(line["seconds"][side]) for line in lines for side in bench.SIDES} == {2}
    assert len(set(names)) == 4
    assert closed == [True]


@pytest.mark.parametrize("side", ["bake_base", "by_us", "by_packer"])
def test_a_bake_that_fails_ends_with_2_and_the_stack_is_stopped(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], side: str
) -> None:
    def fails(*_: Any) -> Any:
        raise bench.CannotMeasure("it ended failed")

    closed = []
    monkeypatch.setattr(bench.bake_real, "stack", lambda: None)
    monkeypatch.setattr(bench.bake_real, "close", lambda: closed.append(True))
    monkeypatch.setattr(bench, "bake_base", lambda _bed: 77.0)
    monkeypatch.setattr(bench, "by_us", lambda _bed, _recipe: turn(bench, 4, 90, 6, 50))
    monkeypatch.setattr(bench, side, fails)
    assert bench.main([], lambda: None) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()[-1]) == ("", "bake_over_packer: it ended failed")
    assert closed == [True]


def test_without_go_one_line_says_so_and_nothing_is_measured(
    bench: Any,
    programs: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bench.bake_real, "stack", lambda: pytest.fail("no stack is started"))
    assert bench.main([], lambda: programs.packer(tmp_path / "cache", lambda _name: None)) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "bench-packer: Go is missing, with which Packer is built: nothing is measured\n"
    )
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("arguments", [["--pairs", "0"], ["--pairs", "many"], ["bake_over_packer"]])
def test_mistakes_of_the_command_line_end_with_2(
    bench: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments, lambda: pytest.fail("nothing is built"))
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


GO = """
case "$1 $2" in
'mod download')
  mkdir -p "$PWD/../modules/${4%@*}"
  cd "$PWD/../modules/${4%@*}"
  echo 'package main' >main.go
  chmod 444 main.go
  chmod 555 .
  printf '{"Path": "%s", "Dir": "%s"}' "$4" "$PWD"
  ;;
'build -trimpath')
  [[ -w . && -f main.go && $5 == . ]]
  printf '#!/bin/bash\necho "$*" >>%q\nmkdir -p "$PACKER_PLUGIN_PATH"\n' "$CALLS" >"$4"
  chmod 755 "$4"
  ;;
esac
echo "$*" >>"$CALLS"
"""


def test_packer_and_its_plugin_are_built_once(
    programs: Any,
    program: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(calls))
    go = program("go", "set -eu\n" + GO)
    cache = tmp_path / "cache"
    found = programs.packer(cache, lambda _name: str(go))
    assert found.program == cache / f"packer-{programs.PACKER.version}"
    assert found.plugins == cache / f"plugins-{programs.PLUGIN.version}"
    made = calls.read_text("utf-8").splitlines()
    downloads = [line.split()[-1] for line in made if line.startswith("mod download")]
    wanted = [f"{module.path}@{module.version}" for module in (programs.PACKER, programs.PLUGIN)]
    assert downloads == wanted
    plugin = cache / f"packer-plugin-googlecompute-{programs.PLUGIN.version}"
    assert made[-1] == f"plugins install --path {plugin} github.com/hashicorp/googlecompute"
    assert {file.name for file in cache.iterdir() if not file.name.startswith("modules")} == {
        *(found.program.name, found.plugins.name, plugin.name),
    }
    # without Go, too: what is cached is not built
    assert programs.packer(cache, lambda _name: None) == found
    assert calls.read_text("utf-8").splitlines() == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("""echo '{"Error": "403 Forbidden"}'; exit 1""", "cannot be built: 403 Forbidden"),
        ("echo 'go: unknown directive' >&2; exit 1", "cannot be built: go: unknown directive"),
        ("exit 1", "cannot be built: it ended without a word"),
    ],
)
def test_a_build_that_fails_says_why_and_what_to_do(
    bench: Any,
    programs: Any,
    program: Callable[[str, str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    words: str,
) -> None:
    go, cache = program("go", text), tmp_path / "cache"
    assert bench.main([], lambda: programs.packer(cache, lambda _name: str(go))) == 2
    *_, said = capsys.readouterr().err.splitlines()
    wanted = f"{programs.PACKER.path}@{programs.PACKER.version}"
    assert said.startswith(f"bake_over_packer: {wanted} {words}. ")
    assert f"as {cache / programs.PACKER.name}." in said
    assert not any(cache.iterdir())


def test_packer_writes_into_its_folder_and_asks_nobody_but_this_machine(
    programs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:1")
    monkeypatch.setenv("PKR_VAR_zone", "mars-a")
    monkeypatch.setenv("PACKER_LOG", "1")
    found = programs.Packer(Path("/cache/packer"), Path("/cache/plugins"))
    environment = found.environment(tmp_path)
    assert not {"HTTPS_PROXY", "PKR_VAR_zone", "PACKER_LOG"} & set(environment)
    assert environment["CHECKPOINT_DISABLE"] == "1"
    assert environment["PACKER_PLUGIN_PATH"] == "/cache/plugins"
    assert environment["PACKER_CONFIG_DIR"] == str(tmp_path)
    assert environment["PATH"] == os.environ["PATH"]


def test_the_wait_of_packer_is_shell(bench: Any) -> None:
    subprocess.run(("bash", "-n", str(bench.WAIT)), check=True)
