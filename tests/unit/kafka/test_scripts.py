"""The scripts of the recipe `kafka`: what java is started with, checksums, somebody else's disk."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from jinja2 import Environment, StrictUndefined
from tests.support.kafka_recipe import SCRIPTS
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

FILES = SCRIPTS / "files"


def run(
    *words: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        env={"PATH": os.environ["PATH"], **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "classpath").write_text("/a.jar:/b.jar\n")
    (tmp_path / "server.properties").write_text("node.id=1\n")
    (tmp_path / "meminfo").write_text("MemTotal:        2014000 kB\n")
    (tmp_path / "tools").write_bytes((FILES / "tools").read_bytes())
    return tmp_path


def started(home: Path, **env: str) -> str:
    paths = {
        "KAFKA_HOME": str(home),
        "KAFKA_CONFIG": str(home / "server.properties"),
        "MEMINFO": str(home / "meminfo"),
        "JAVA": "echo",
    }
    done = run(FILES / "kafka-broker", env=paths | env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_heap_is_a_quarter_of_the_memory_unless_it_is_given(home: Path) -> None:
    assert started(home).startswith("-Xms491m -Xmx491m ")
    (home / "meminfo").write_text("MemTotal:  400000 kB\n")
    assert started(home).startswith("-Xms128m -Xmx128m ")
    (home / "meminfo").write_text("MemTotal:  64000000 kB\n")
    assert started(home).startswith("-Xms6144m -Xmx6144m ")
    assert started(home, HEAP="1g").startswith("-Xms1g -Xmx1g ")


def test_a_small_heap_has_a_log_cleaner_that_fits(home: Path) -> None:
    small = started(home, HEAP="96m")
    assert small.endswith("--override log.cleaner.dedupe.buffer.size=8388608")
    assert "-XX:+UseSerialGC" in small
    large = started(home, HEAP="1g")
    assert "dedupe" not in large
    assert "-XX:+UseG1GC" in large
    (home / "server.properties").write_text("log.cleaner.dedupe.buffer.size=1\n")
    assert "dedupe" not in started(home, HEAP="96m"), "what the metadata says is not overridden"


def test_jmx_is_off_unless_it_has_a_port_and_on_loopback_then(home: Path) -> None:
    assert "jmxremote" not in started(home)
    found = started(home, JMX_PORT="9999")
    assert "-Dcom.sun.management.jmxremote.port=9999" in found
    assert "-Dcom.sun.management.jmxremote.host=127.0.0.1" in found


def test_the_archive_of_classes_is_used_but_for_the_run_that_makes_it(home: Path) -> None:
    assert "SharedArchiveFile" not in started(home)
    (home / "kafka.jsa").touch()
    assert f"-XX:SharedArchiveFile={home}/kafka.jsa" in started(home)


def test_options_of_java_come_after_those_of_the_image(home: Path) -> None:
    found = started(home, HEAP="1g", JVM_OPTIONS="-Xss1m -XX:TieredStopAtLevel=1").split()
    words = ["-Xss1m", "-XX:TieredStopAtLevel=1", "-cp", "/a.jar:/b.jar", "kafka.Kafka"]
    assert found[-6:] == [*words, str(home / "server.properties")]


def test_a_command_has_the_name_that_apaches_archive_gives_it(home: Path) -> None:
    (home / "kafka-topics.sh").symlink_to(FILES / "kafka-tool")
    (home / "kafka-nothing.sh").symlink_to(FILES / "kafka-tool")
    env = {"KAFKA_HOME": str(home), "JAVA": "echo", "KAFKA_HEAP_OPTS": "-Xmx1g"}
    done = run(home / "kafka-topics.sh", "--list", "a b", env=env)
    end = "-Xmx1g -cp /a.jar:/b.jar org.apache.kafka.tools.TopicCommand --list a b\n"
    assert done.stdout.endswith(end)
    missing = run(home / "kafka-nothing.sh", env=env)
    assert missing.returncode == 1
    assert "kafka-nothing.sh: no command of Kafka" in missing.stderr


def test_a_command_uses_the_archive_of_classes_once_the_bake_has_made_it(home: Path) -> None:
    (home / "kafka-storage.sh").symlink_to(FILES / "kafka-tool")
    env = {"KAFKA_HOME": str(home), "JAVA": "echo"}
    before = run(home / "kafka-storage.sh", "format", env=env)
    assert before.returncode == 0, before.stderr
    assert "SharedArchiveFile" not in before.stdout
    (home / "kafka.jsa").touch()
    after = run(home / "kafka-storage.sh", "format", env=env)
    assert f"-XX:SharedArchiveFile={home}/kafka.jsa" in after.stdout


def verify(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The function of install.sh."""
    text = (SCRIPTS / "install.sh.j2").read_text("utf-8")
    found = re.search(r"^verify\(\) \{\n.*?^\}\n", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return run(
        "bash", "-c", f'set -Eeuo pipefail\n{found[0]}\nverify "$@"', "bash", *words, cwd=folder
    )


def test_a_wrong_checksum_ends_the_bake_and_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a-1.jar").write_bytes(b"a jar")
    sha256, sha512 = (hashlib.new(name, b"a jar").hexdigest() for name in ("sha256", "sha512"))
    assert verify(tmp_path, sha256, "a-1.jar").returncode == 0
    assert verify(tmp_path, sha512, "a-1.jar", "sha512sum", "the var").returncode == 0
    wrong = verify(tmp_path, "0" * 64, "a-1.jar")
    assert wrong.returncode == 1
    told = f"wrong checksum: a-1.jar has {sha256}, and artefacts.lock says {'0' * 64}\n"
    assert wrong.stderr == told
    none = verify(tmp_path, "", "a-1.jar", "sha512sum", "the var archive_sha512")
    assert none.stderr.endswith("and the var archive_sha512 says nothing\n")
    assert verify(tmp_path, sha256, "gone.jar").returncode != 0


def install_of_the_archive(folder: Path, archive: Path, sha512: str) -> str:
    """The lines of install.sh that fetch Apache's own archive, with this folder for /."""
    text = (SCRIPTS / "install.sh.j2").read_text("utf-8")
    begin, end = text.index("# verify SHA256 FILE"), text.index("install -m 755 files/kafka-broker")
    given = {"artefacts": "archive", "archive": archive.as_uri(), "archive_sha512": sha512}
    environment = Environment(trim_blocks=True, undefined=StrictUndefined, autoescape=False)
    environment.filters["sh"] = shlex.quote
    made = environment.from_string(text[begin:end]).render(vars=given)
    return "set -Eeuo pipefail\n" + made.replace("/opt/kafka", str(folder))


def test_apaches_archive_is_taken_if_its_checksum_is_right_and_nothing_else(tmp_path: Path) -> None:
    jars, folder, archive = tmp_path / "jars", tmp_path / "kafka", tmp_path / "kafka_2.13.tgz"
    (folder / "libs").mkdir(parents=True)
    (jars / "libs").mkdir(parents=True)
    for name in ("kafka_2.13-4.4.0.jar", "kafka-clients-4.4.0.jar"):
        (jars / "libs" / name).write_bytes(name.encode())
    with tarfile.open(archive, "w:gz") as file:
        file.add(jars, "kafka_2.13-4.4.0")
    sha512 = hashlib.sha512(archive.read_bytes()).hexdigest()

    wrong = run("bash", "-c", install_of_the_archive(folder, archive, "0" * 128))
    assert wrong.returncode == 1
    told = f"wrong checksum: kafka.tgz has {sha512}, and the var archive_sha512 says {'0' * 128}\n"
    assert wrong.stderr == told
    none = run("bash", "-c", install_of_the_archive(folder, archive, ""))
    assert none.stderr.endswith("and the var archive_sha512 says nothing\n")
    gone = run("bash", "-c", install_of_the_archive(folder, tmp_path / "gone.tgz", sha512))
    assert gone.returncode != 0
    assert list((folder / "libs").iterdir()) == []

    done = run("bash", "-c", install_of_the_archive(folder, archive, sha512))
    assert done.returncode == 0, done.stderr
    names = ["kafka-clients-4.4.0.jar", "kafka_2.13-4.4.0.jar"]
    assert sorted(path.name for path in (folder / "libs").iterdir()) == names
    found = (folder / "classpath").read_text().strip().split(":")
    assert sorted(found) == [str(folder / "libs" / name) for name in names]


def test_the_lock_names_each_jar_once_with_its_hash() -> None:
    text = (SCRIPTS / "artefacts.lock").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[0-9a-f]{64}  \S+\.jar", line)] == []
    names = [line.rpartition("/")[2] for line in lines]
    assert len(set(names)) == len(names), "they are in one folder of the image"
    for name in ("kafka_2.13", "kafka-tools", "log4j-slf4j-impl"):
        assert any(each.startswith(f"{name}-") for each in names), name


def first_boot(disk: Path) -> subprocess.CompletedProcess[str]:
    (disk / "kafka.new").mkdir()
    return run(FILES / "kafka-first-boot", disk / "kafka.new", env={"DATA_DISK": "data"})


def test_a_new_file_system_becomes_the_brokers(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert first_boot(tmp_path).returncode == 0
    assert (tmp_path / "kafka.new").is_dir()


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("postgresql", "attach the data disk of this broker, or a blank one"),
        (".hidden", "attach the data disk of this broker, or a blank one"),
        ("meta.properties", "move all of it into a folder kafka/data on the disk"),
    ],
)
def test_a_disk_that_holds_something_else_is_refused_and_left_as_it_is(
    tmp_path: Path, content: str, remedy: str
) -> None:
    (tmp_path / content).write_text("somebody's")
    done = first_boot(tmp_path)
    assert done.returncode == 1
    assert f"the disk 'data' holds something else ({content}); it is left as it is" in done.stderr
    assert remedy in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [content]


def test_the_data_disk_is_mounted_by_the_program_of_the_cookbook() -> None:
    cookbook = PROJECT / "plugins/bakehouse/cookbook/etcd/startup_scripts/files/data-disk"
    assert (FILES / "data-disk").read_bytes() == cookbook.read_bytes()
