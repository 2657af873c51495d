"""Names that nobody defines are told in all branches; templates that nobody renders are told."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import nodes

from bakehouse.recipe.commit import GitFile
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.template_names import not_rendered, undefined_at_boot, undefined_in_scripts

START = "include/startup_scripts/app/"


def recipe(**fields: Any) -> Recipe:
    form = {"name": "app", "base": "debian-cloud/debian-12", "vars": {"page": "x", "port": 80}}
    metadata = {"greeting": "hello", "cluster-name": "blue"}
    return Recipe.model_validate({**form, "smoke": {"metadata": metadata}, **fields})


def in_script(text: str, **others: str) -> list[tuple[str, int, str]]:
    texts = {"app/install.sh.j2": text, **{f"app/{n}.sh.j2": t for n, t in others.items()}}
    found = undefined_in_scripts(recipe(), ["app/install.sh.j2"], texts)
    return [(one.file.removeprefix(START), one.line, one.problem) for one in found]


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        ("echo\n{% if vars.page %}\n{{ vars.prt | sh }}\n{% endif %}\n", 3, "vars.prt"),
        ("{% if false %}{{ nobody | sh }}{% endif %}", 1, "nobody"),
        ("{% if vars.page == 'x' %}{{ a | sh }}{% else %}{{ b | sh }}{% endif %}", 1, "a"),
        ("{% if vars.page == 'y' %}{% elif git_sha %}{{ a | sh }}{% endif %}", 1, "a"),
        ("{% if vars.page == 'y' %}{% else %}{{ b | sh }}{% endif %}", 1, "b"),
        ("{% if vars.page and git_sha == 'y' %}{{ a | sh }}{% endif %}", 1, "a"),
        ("{{ (vars.page if vars.port else a) | sh }}{{ b | sh }}", 1, "b"),
        ("{% if vars.port * 2 < 9 %}{{ a | sh }}{% endif %}", 1, "a"),
        ("{% if vars.page * 10**9 == 'x' %}{{ a | sh }}{% endif %}", 1, "a"),
        ("{% if vars.page | length > 9 %}{% else %}{{ a | sh }}{% endif %}", 1, "a"),
        ("{{ vars['prt'] | sh }}", 1, "vars.prt"),
        ("{% for x in vars.all %}{{ x | sh }}{% endfor %}", 1, "vars.all"),
        ("{{ recipe.nam | sh }}", 1, "recipe.nam"),
        ("{{ commit.hash | sh }}", 1, "commit.hash"),
        ("{{ greeting | sh }}", 1, "greeting"),
        ("{{ instance.name | sh }}", 1, "instance"),
        ("{{ image.recipe | sh }}", 1, "image"),
        ("{{ var.page | sh }}", 1, "var"),
    ],
)
def test_an_undefined_name_of_a_script_is_told_in_any_branch(
    text: str, line: int, name: str
) -> None:
    assert in_script(text) == [("install.sh.j2", line, f"{name!r} is undefined")]


@pytest.mark.parametrize(
    "text",
    [
        "{{ vars.page | sh }} {{ recipe.name | sh }} {{ recipe.family | sh }} {{ git_sha | sh }}",
        "{{ commit.sha | sh }} {{ recipe.builder.zones | sh }}",
        "{% set x = 1 %}{{ x | sh }}",
        "{% for name, value in vars.items() %}{{ name | sh }}{{ loop.index | sh }}{% endfor %}",
        "{{ vars.prt | default(8080) | sh }}",
        "{% if vars.prt is defined %}{{ vars.prt | sh }}{% endif %}",
        "{% if extra is defined %}{{ extra | sh }}{% endif %}",
        "{% macro m(a) %}{{ a | sh }}{% endmacro %}{{ m(1) | sh }}",
        "{% for n in range(3) %}{{ n | sh }}{% endfor %}",
        "{% set ns = namespace(n=1) %}{{ ns.n | sh }}",
        "{% with a = 1 %}{{ a | sh }}{% endwith %}",
        "{% if 'prt' in vars %}{{ vars.prt | sh }}{% endif %}",
        "{% if vars.page == 'y' %}{{ vars.other | sh }}{% endif %}",
        "{% if vars.page == 'y' %}{% elif vars.port > 90 %}{{ a | sh }}{% else %}{% endif %}",
        "{{ (vars.other if recipe.name == 'other' else vars.page) | sh }}",
        "{% if vars['page'] == 'x' and vars.port == 80 %}{% else %}{{ a | sh }}{% endif %}",
        "{% if not vars.page %}{{ a | sh }}{% endif %}",
        "{% for x in [1] %}{% if vars.page != 'x' %}{{ a | sh }}{% endif %}{% endfor %}",
        "{{ nobody",
    ],
)
def test_names_that_are_defined_or_asked_for_are_taken(text: str) -> None:
    assert in_script(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10**9 | sh }}",
        "{% set x = 'a' * 10**9 %}",
        "{% if 'a' * 10**9 %}{% endif %}",
        "{% if vars.page * 10**9 == 'x' %}{% endif %}",
        "{{ (vars.page if 'a' * 10**9 else vars.port) | sh }}",
        "{% for x in ['a'] * 10**9 %}{% endfor %}",
    ],
)
def test_nothing_of_a_template_is_computed_to_find_its_names(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is for the process that has limits of time and memory."""
    monkeypatch.setattr(nodes.BinExpr, "as_const", lambda *_: pytest.fail("computed"))
    assert in_script(text) == []
    assert at_boot(text.replace(" | sh", "")) == []


def test_an_included_script_is_read_and_may_use_what_was_set() -> None:
    text = '{% set port = 1 %}{% include "app/part.sh.j2" %}'
    assert in_script(text, part="echo\n{{ port | sh }} {{ prot | sh }}\n") == [
        ("part.sh.j2", 2, "'prot' is undefined")
    ]


def at_boot(text: str, **fields: Any) -> list[str]:
    files = {"app/templates/etc/app.conf.j2": GitFile(0o100644, text.encode())}
    return [str(one).removeprefix(START) for one in undefined_at_boot(recipe(**fields), files)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\nb={{ greting }}\n", "2: greting is not defined. Add it to smoke.metadata"),
        ("{{ cluster-name }}", "1: cluster is not defined"),
        ("{{ vars.prt }}", "1: vars.prt is not defined. Add it to the vars of app.yaml"),
        ("{{ image.sha }}", "An image has recipe, image, git_sha"),
        ("{{ attributes['cluster_name'] }}", "1: attributes.cluster_name is not defined"),
        ("{{ recipe.name }}", "1: recipe is not defined"),
        ("{% if false %}{{ nobody }}{% endif %}", "{{ nobody | default('') }}"),
    ],
)
def test_a_name_that_no_instance_has_is_told_with_its_line(text: str, told: str) -> None:
    found = at_boot(text)
    assert found
    assert found[0].startswith("templates/etc/app.conf.j2:")
    assert told in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "{{ greeting }} {{ cluster_name }} {{ attributes['cluster-name'] }} {{ vars.page }}",
        "{{ instance.zone.split('/')[-1] }} {{ instance.networkInterfaces[0].ip }}",
        "{{ image.git_sha }} {{ image.base_image.name }} {{ attributes.get('x', 'y') }}",
        "{{ other | default('none') }}",
        "{% if other is defined %}{{ other }}{% endif %}",
        "{% if 'a-b' in attributes %}{{ attributes['a-b'] }}{% endif %}",
        "{% raw %}{{ .Values.x }}{% endraw %}",
        "{{ attributes | tojson }}",
        "{{ token if cluster is defined else instance.id }}",
        "{% if vars.page == 'y' %}{{ color }}{% endif %}",
        "{% if image.recipe == 'other' %}{{ color }}{% endif %}",
        "{% if cluster is defined and true %}{{ token }}{% else %}{{ other }}{% endif %}",
    ],
)
def test_names_that_an_instance_has_are_taken(text: str) -> None:
    assert at_boot(text) == []


def plain(path: str, text: str, **fields: Any) -> list[str]:
    files = {f"app/{path}": GitFile(0o100644, text.encode())}
    return [str(one).removeprefix(START) for one in not_rendered(recipe(**fields), files)]


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("templates/etc/app.conf", "x\nport={{ vars.port }}\n", "app.conf:2: {{ vars.port"),
        ("templates/etc/app.conf", "{{greeting}}", "Rename it to app.conf.j2"),
        ("templates/etc/app.conf", "{{ greeting | upper }}", "is not rendered"),
        ("templates/etc/app.conf", "{{ instance.name }}", "is not rendered"),
        ("templates/etc/app.conf", "{{ attributes['cluster-name'] }}", "is not rendered"),
        ("templates/etc/app.conf", "{% if vars.port %}", "is not rendered"),
        ("templates/etc/app.conf", "{%- for x in vars.page %}", "is not rendered"),
        ("smoke_test.sh", "curl localhost:{{ vars.port }}\n", "Let install.sh.j2 or a file"),
        ("health", "#!/bin/sh\ncurl :{{ vars.port }}\n", "health:2:"),
        ("lib/db.sh", "echo {{ vars.page | sh }}\n", "lib/db.sh:1:"),
    ],
)
def test_a_template_without_its_ending_is_told(path: str, text: str, told: str) -> None:
    (found,) = plain(path, text)
    assert told in found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("templates/etc/app.conf.j2", "{{ vars.port }}"),
        ("install.sh.j2", "{{ vars.port | sh }}"),
        ("smoke_test.sh", "docker ps --format '{{.Names}} {{ .Image }}'"),
        ("templates/etc/prometheus/rules.yml", "{{ $labels.instance }} {{ $value | humanize }}"),
        ("templates/etc/consul.ctmpl", '{{ range service "web" }}{{ .Address }}{{ end }}'),
        ("templates/etc/helm.yaml", '{{ .Values.image.tag }} {{ include "x" . }}'),
        (
            "templates/srv/app/index.html",
            "{% block body %}{{ image.url }}{% endblock %}",
        ),
        ("conf/page.html", "{{ greeting }}"),
        ("tool", "\0{{ vars.port }}"),
        ("notes.md", "{{ vars.other }}"),
    ],
)
def test_braces_of_other_programs_are_taken(path: str, text: str) -> None:
    assert plain(path, text) == []
