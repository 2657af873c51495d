"""What the plugin registers: lazily, and below any base path."""

from __future__ import annotations

import subprocess
import sys

from bakehouse.pages.history_api import FILES, STATIC
from bakehouse.pages.plugin_apps import FASTAPI_APPS, NAME, REACT_APPS


def test_registering_imports_neither_fastapi_nor_google() -> None:
    code = (
        "import sys, bakehouse.pages.plugin_apps as apps;"
        "assert apps.FASTAPI_APPS;"
        "heavy = {'fastapi', 'googleapiclient', 'airflow'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_bundle_is_found_below_any_base_path() -> None:
    (prefix,) = (app["url_prefix"] for app in FASTAPI_APPS)
    for app in REACT_APPS:
        assert f"/{app['bundle_url']}" == f"{prefix}/page.js"
    assert {app["destination"] for app in REACT_APPS} == {"nav", "dag"}


def test_each_place_has_a_route_of_its_own() -> None:
    assert len({app["url_route"] for app in REACT_APPS}) == len(REACT_APPS)


def test_the_component_has_a_global_name_of_its_own() -> None:
    assert f'const NAME = "{NAME}";' in (STATIC / "page.js").read_text(encoding="utf-8")


def test_every_file_of_the_page_is_served() -> None:
    assert set(FILES.values()) == {file.name for file in STATIC.iterdir()}


def test_no_file_of_the_page_makes_html_of_a_value() -> None:
    for file in STATIC.glob("*.js"):
        text = file.read_text(encoding="utf-8")
        for made in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert made not in text, (file.name, made)
