"""The cookbook's recipes, as a project gets them: valid, complete, and apart from their names."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from jinja2 import meta
from tests.support.paths import PROJECT

from bakehouse.config.new_project import write_project
from bakehouse.config.new_recipe import CannotCreate, examples, write_recipe
from bakehouse.config.project import all_mistakes
from bakehouse.guest.render import context, read_tree, render, sandbox

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (
    "docker",
    "etcd",
    "haproxy",
    "jvm",
    "mariadb",
    "node",
    "postgres",
    "prometheus",
    "python",
    "rabbitmq",
)
WITH_DATA_DISK = ("docker", "etcd", "jvm", "mariadb", "postgres", "prometheus", "rabbitmq")
SOURCE = PROJECT / "plugins/bakehouse/cookbook"
GUIDE = PROJECT / "docs/cookbook.md"
INSTANCE = {"name": "vm-1", "id": 7315824209, "attributes": {}}
GIVEN = {"attributes", "instance", "image", "vars"}  # in every template


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "images")
    return tmp_path / "images"


def templates_of(name: str) -> Path:
    return SOURCE / name / "startup_scripts/templates"


def metadata_of(name: str) -> set[str]:
    """The names that its templates ask the instance for."""
    entries = read_tree(templates_of(name))
    environment = sandbox(entries)
    texts = [entry.data.decode() for entry in entries if entry.path.endswith(".j2")]
    found = [meta.find_undeclared_variables(environment.parse(text)) for text in texts]
    return {each.replace("_", "-") for each in set[str]().union(*found) - GIVEN}


def test_it_has_the_ten_that_the_guide_describes() -> None:
    assert tuple(examples()) == NAMES
    titles = re.findall(r"^## .*`([a-z]+)`\)?$", GUIDE.read_text(), re.MULTILINE)
    assert sorted(titles) == list(NAMES)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_has_no_mistake_under_any_name(name: str, project: Path) -> None:
    for new_name in (name, "x", f"our-{name}-2", "a" * 35):
        files = write_recipe(project, new_name, name)
        assert files[0] == project / f"include/recipes/{new_name}.yaml"
        assert {f for f in files if not f.is_file()} == set()
    assert all_mistakes(project / "include") == []


def test_all_recipes_fit_into_one_project(project: Path) -> None:
    for name in NAMES:
        write_recipe(project, name, name)
    assert all_mistakes(project / "include") == []


@pytest.mark.parametrize("name", NAMES)
def test_programs_of_a_copy_are_executable_and_nothing_else_is(name: str, project: Path) -> None:
    for file in write_recipe(project, "mine", name):
        assert os.access(file, os.X_OK) == file.read_bytes().startswith(b"#!"), file


@pytest.mark.parametrize("name", NAMES)
def test_each_is_asked_for_its_health_and_tested(name: str) -> None:
    scripts = SOURCE / name / "startup_scripts"
    assert (scripts / "health").read_bytes().startswith(b"#!/bin/bash\n")
    test = (scripts / "smoke_test.sh").read_text()
    assert re.search(r'^check ".*(written|gets through).*"', test, re.MULTILINE)
    assert re.search(r"^description: .+", (SOURCE / name / "recipe.yaml").read_text(), re.M)


@pytest.mark.parametrize("name", NAMES)
def test_templates_need_no_metadata(name: str) -> None:
    names = context(INSTANCE, {}, {"vars": {}})
    done, wrong = render(read_tree(templates_of(name)), names)
    assert wrong == []
    assert done


@pytest.mark.parametrize("name", NAMES)
def test_all_metadata_is_told_in_the_recipe_and_in_the_guide(name: str) -> None:
    comment = "".join(re.findall(r"^#(.*)\n", (SOURCE / name / "recipe.yaml").read_text(), re.M))
    section = GUIDE.read_text().split(f"(`{name}`)\n", 1)[1].split("\n## ", 1)[0]
    for key in metadata_of(name):
        assert key in comment, key
        assert f"`{key}`" in section, key


def test_an_etcd_cluster_needs_a_token_of_its_own() -> None:
    """Without one, two clusters could take members of each other."""
    entries = read_tree(templates_of("etcd"))
    cluster = {"etcd-initial-cluster": "a=http://a:2380", "etcd-listen": "10.0.0.1"}
    _, wrong = render(entries, context({**INSTANCE, "attributes": cluster}, {}, {"vars": {}}))
    assert any("'etcd_cluster_token' is undefined" in each for each in wrong)
    named = {**cluster, "etcd-cluster-token": "t-1", "etcd-initial-state": "existing"}
    done, wrong = render(entries, context({**INSTANCE, "attributes": named}, {}, {"vars": {}}))
    assert wrong == []
    (config,) = (entry.data.decode() for entry in done if entry.path == "etc/default/etcd")
    assert "ETCD_NAME=vm-1\n" in config
    assert "ETCD_INITIAL_CLUSTER_TOKEN=t-1\n" in config
    assert "ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379,http://10.0.0.1:2379\n" in config


def test_metadata_reaches_the_config() -> None:
    told = {
        "haproxy": ({"haproxy-servers": "a:80, b:81"}, "server b-81 b:81\n"),
        "postgres": ({"postgres-allow": "10.0.0.0/8"}, "hostssl all        all  10.0.0.0/8 scram"),
        "prometheus": ({"prometheus-targets": "a:1, b:2"}, '["127.0.0.1:9100", "a:1", "b:2"]'),
        "mariadb": ({"mariadb-buffer-pool": "2G"}, "innodb_buffer_pool_size = 2G\n"),
        "docker": ({"greeting": 'Say "hi"'}, r'GREETING="Say \"hi\""'),
    }
    for name, (attributes, expected) in told.items():
        entries = read_tree(templates_of(name))
        names = context({**INSTANCE, "attributes": attributes}, {}, {"vars": {}})
        done, wrong = render(entries, names)
        assert wrong == []
        assert any(expected in entry.data.decode() for entry in done), name


def test_data_disks_are_mounted_by_the_same_program() -> None:
    programs = {
        name: file.read_bytes()
        for name in NAMES
        if (file := SOURCE / name / "startup_scripts/files/data-disk").is_file()
    }
    assert tuple(programs) == WITH_DATA_DISK
    assert len(set(programs.values())) == 1


def test_it_is_data_and_no_package() -> None:
    assert list(SOURCE.rglob("__init__.py")) == []


def test_locks_name_the_registries_and_hashes_only() -> None:
    lock = (SOURCE / "node/startup_scripts/app/package-lock.json").read_text()
    urls = re.findall(r'"resolved": "([^"]+)"', lock)
    assert len(urls) == lock.count('"integrity": "sha512-')
    assert {url for url in urls if not url.startswith("https://registry.npmjs.org/")} == set()
    pinned = (SOURCE / "python/startup_scripts/app/requirements.lock").read_text()
    packages = re.findall(r"^[a-z][^\n]*", pinned, re.MULTILINE)
    assert [each for each in packages if not re.fullmatch(r"[a-z0-9-]+==[0-9.]+ \\", each)] == []
    jars = (SOURCE / "jvm/startup_scripts/app/jars.lock").read_text().splitlines()
    lines = [line for line in jars if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[0-9a-f]{64}  \S+\.jar", line)] == []


@pytest.mark.parametrize(
    ("name", "new_name", "message"),
    [
        ("postgress", "db", "the cookbook has no 'postgress'"),
        ("postgress", "db", "'postgres'"),
        ("x", "db", "It has docker, etcd, haproxy, jvm"),
        ("postgres", "Db", "'Db' is no name of a recipe: at most 35 of a-z, 0-9 and -"),
        ("postgres", "a" * 36, "is no name of a recipe"),
        ("postgres", "../db", "is no name of a recipe"),
        ("postgres", "db\n", "is no name of a recipe"),
        ("postgres", "", "'' is no name of a recipe"),
        ("postgres", "guest", "'guest' is Bakehouse's own folder of scripts"),
        ("postgres", "web", "include/recipes/web.yaml exists already: choose another name"),
    ],
)
def test_what_cannot_be_copied_is_said_and_nothing_is_written(
    name: str, new_name: str, message: str, project: Path
) -> None:
    before = sorted(project.rglob("*"))
    with pytest.raises(CannotCreate, match=re.escape(message)):
        write_recipe(project, new_name, name)
    assert sorted(project.rglob("*")) == before


def test_a_folder_of_scripts_is_not_overwritten(project: Path) -> None:
    (project / "include/startup_scripts/db").mkdir()
    with pytest.raises(CannotCreate, match="startup_scripts/db exists already"):
        write_recipe(project, "db", "postgres")
    assert not (project / "include/recipes/db.yaml").exists()
