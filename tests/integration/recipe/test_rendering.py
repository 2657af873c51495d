"""Templates of recipes are programs of others: they end, and reach nothing but their names."""

from __future__ import annotations

import os
import shlex
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from bakehouse.recipe.commit import Commit
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.rendering import Job, Renderer, render_limited
from bakehouse.recipe.templates import Faults

COMMIT = Commit(
    sha="c" * 40, ref="main", subject="s", author_time=datetime(2026, 1, 2, tzinfo=UTC), author="a"
)
RECIPE = Recipe.model_validate(
    {"name": "app", "base": "debian-cloud/debian-12", "vars": {"page": "it's"}, "services": ["a"]}
)
NAMES = {"recipe": RECIPE, "vars": RECIPE.vars, "commit": COMMIT, "git_sha": COMMIT.sha}


def rendered(text: str, **others: str) -> str:
    sources = {"app/x.j2": f"\n{text}", **{f"app/{name}": more for name, more in others.items()}}
    return render_limited(Job({"app/x.j2": {}}, NAMES, sources, "scripts"))["app/x.j2"].text()[1:]


def fault(text: str, **others: str) -> str:
    """The one message about a template."""
    with pytest.raises(Faults) as wrong:
        rendered(text, **others)
    (one,) = wrong.value.faults
    return str(one)


GREEDY = {
    "{{ 'x' * 10 ** 10 }}": "memory",
    "{{ 'x' * (10 ** 10) ~ 'y' }}": "memory",
    "{{ [1] * 10 ** 9 }}": "memory",
    "{{ '%0999999999d' % 1 }}": "memory",
    "{{ '%0999999999d' | format(1) }}": "memory",
    "{{ '{:>9999999999}'.format(1) }}": "memory",
    "{{ 'x'.center(10 ** 10) }}": "memory",
    "{{ 'x'.ljust(10 ** 10) }}": "memory",
    "{{ 'x'.zfill(10 ** 10) }}": "memory",
    "{{ '\\t'.expandtabs(10 ** 9) }}": "memory",
    "{{ 'x' | center(10 ** 10) }}": "memory",
    "{{ 'x' | indent(10 ** 10, true) }}": "memory",
    "{{ {'a': 1} | tojson(indent=10 ** 10) }}": "memory",
    "{{ [1] | batch(10 ** 10, 'x') | list }}": "memory",
    "{{ ('x' * 10 ** 6).replace('x', 'y' * 10 ** 6) }}": "memory",
    "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}": (
        "memory"
    ),
    "{% for i in range(10 ** 5) %}{{ 'x' * 1000 }}{% endfor %}": "more than 4,194,304 characters",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": "recursion",
    "{% include 'app/x.j2' %}": "recursion",
    "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}": "recursion",
    "{{ range(10 ** 9) | list }}": "Range too big",
    "{% for i in range(10 ** 9) %}{% endfor %}": "Range too big",
    "{{ 10 ** (10 ** 8) }}": "too much processor time",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": "processor",
    "{% autoescape 'x' * 10 ** 10 %}{% endautoescape %}": "autoescape needs true or false",
    "{{ (1).bit_length() / 0 }}": "division by zero",
    "{{ 7 ** 9999 }}": "4300 digits",
    "{{ lipsum(n=10 ** 6) }}": "'lipsum' is undefined",
}


@pytest.mark.parametrize("text", GREEDY)
def test_a_template_that_takes_too_much_is_one_message_with_its_line(text: str) -> None:
    began = time.process_time()
    found = fault(text)
    assert found.startswith("scripts/app/x.j2:2: ")
    assert GREEDY[text] in found
    assert time.process_time() - began < 2  # the process of the templates pays, not this one


@pytest.mark.parametrize(
    "text", ["(" * 50_000 + "1" + ")" * 50_000, "[" * 50_000, "not " * 50_000 + "1", "-" * 50_000]
)
def test_an_expression_too_deep_for_the_parser_is_one_message(text: str) -> None:
    assert fault(f"{{{{ {text} }}}}").startswith("scripts/app/x.j2:")


@pytest.mark.parametrize("tag", ["if 1", "for a in [1]", "with"])
def test_tags_too_deep_for_the_compiler_are_one_message(tag: str) -> None:
    text = f"{{% {tag} %}}" * 3_000 + f"{{% end{tag.split()[0]} %}}" * 3_000
    assert fault(text).startswith("scripts/app/x.j2:")


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ [''] | map(attribute='__class__') | first }}",
        "{{ [{'a': ''}] | map(attribute='a.__class__') | first }}",
        "{{ '{0.__class__}'.format('') }}",
        "{{ '{x.__class__}'.format_map({'x': ''}) }}",
        "{{ ('{0.__class__}' | string).format('') }}",
        "{{ ['{0.__class__}'] | map('format', '') | first | attr('__class__') }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ joiner.__init__ }}",
        "{{ namespace.__init__ }}",
        "{{ range.__class__ }}",
        "{{ self.__init__.__globals__ }}",
        "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
        "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
        "{% for x in [1] %}{{ loop.__init__ }}{% endfor %}",
        "{{ vars.update({'page': 'x'}) }}",
        "{{ vars.clear() }}",
        "{{ recipe.__class__ }}",
        "{{ recipe.__dict__ }}",
        "{{ recipe._View__text }}",
        "{{ recipe.model_copy() }}",
        "{{ recipe.model_fields }}",
        "{{ recipe.parse_raw('x', proto='pickle', allow_pickle=true) }}",
        "{{ recipe.parse_file('/etc/hostname') }}",
        "{{ commit.parse_file('/etc/hostname') }}",
        "{{ commit.author_time.__reduce__() }}",
        "{% include '../../etc/hostname' %}",
        "{% include '/etc/hostname' %}",
        "{% import '/etc/hostname' as x %}",
        "{% from '../app/y' import z %}",
        "{% extends 'scripts/app/x.j2' %}",
    ],
)
def test_a_template_reaches_nothing_but_its_names(text: str) -> None:
    assert fault(text).startswith("scripts/app/x.j2:2: ")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (
            "{{ recipe.name }} {{ recipe.family }} {{ recipe.base }}",
            "app app debian-cloud/debian-12",
        ),
        ("{{ recipe.boot_time_limit.total_seconds() | int }}", "300"),
        ("{{ recipe.builder.zones[0] }} {{ recipe.services | sh }}", "us-central1-a 'a'"),
        ("{{ recipe.vars.page | sh }} {{ vars['page'] }}", "'it'\"'\"'s' it's"),
        ("{{ commit.author_time.year }} {{ commit.sha == git_sha }}", "2026 True"),
        ("{{ vars.items() | list | length }} {{ recipe.schedule is none }}", "1 True"),
    ],
)
def test_what_a_template_may_read(text: str, result: str) -> None:
    assert rendered(text) == result


def test_an_error_of_an_included_template_names_that_one() -> None:
    text = "{% include 'app/y' %}"
    assert fault(text, y="\n\n{{ 'x' * 10 ** 10 }}").startswith("scripts/app/y:3: needs more")
    assert fault(text, y="\n{{ 10 ** (10 ** 8) }}").startswith("scripts/app/y:2: takes too much")


@pytest.mark.long
def test_a_renderer_that_was_ended_is_replaced_and_serves_threads_and_forks() -> None:
    fault("{{ 10 ** (10 ** 8) }}")
    assert rendered("{{ vars.page }}") == "it's"
    results = list[str]()
    threads = [
        threading.Thread(target=lambda n=n: results.append(rendered(f"{{{{ {n} }}}}")))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [str(n) for n in range(8)]
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, rendered("{{ vars.page }}").encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "it's"
    assert rendered("{{ vars.page }}") == "it's"


def test_a_renderer_ends_with_the_one_who_started_it() -> None:
    renderer = Renderer()
    job = Job({"x": {}}, {}, {"x": "y"}, "scripts")
    assert renderer.render(job)["x"].text() == "y"
    renderer.close()
    assert renderer.render(job)["x"].text() == "y"
    renderer.close()


@pytest.mark.parametrize(
    "text",
    [
        "{% filter upper %}{{ vars.page | sh }}{% endfilter %}",
        "{% filter upper %}{% include 'app/y' %}{% endfilter %}",
        "{% filter replace('B', '') %}{% include 'app/y' %}{% endfilter %}",
        "{% set x %}{% include 'app/y' %}{% endset %}{{ x | reverse | sh }}",
    ],
)
def test_what_sh_has_written_is_not_changed_after_it(text: str) -> None:
    with pytest.raises(Faults, match="is changed after its filter sh"):
        rendered(text, y="{{ vars.page | sh }}")


def test_a_text_with_values_is_quoted_as_a_whole() -> None:
    text = "{% set x %}echo {{ vars.page | sh }}{% endset %}{{ x | sh }}"
    assert shlex.split(rendered(text)) == ["echo 'it'\"'\"'s'"]
    assert rendered("{% set x %}{{ vars.page | sh }}{% endset %}") == ""


def test_names_that_json_does_not_have() -> None:
    class Model(BaseModel):
        limit: timedelta = timedelta(minutes=1)
        many: tuple[int, ...] = (1, 2)
        inner: dict[str, Any] = {"is": {"a": None}}

    sources = {"x": "{{ m.limit.total_seconds() }} {{ m.many[1] }} {{ m.inner['is'].a is none }}"}
    script = render_limited(Job({"x": {"m": Model()}}, {}, sources, "scripts"))["x"]
    assert script.text() == "60.0 2 True"
