"""The page behind nginx and below a base path, in a browser, on an API server of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.flow.reverse_proxy import NGINX, answers, nginx
from tests.support.deadlines import SOON
from tests.support.events import bake, image, members
from tests.support.paths import PROJECT

from bakehouse.history.ledger import Ledger
from devstack.browser import CHROMIUM, browser_of
from devstack.ports import free_port
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW = image(2)
AIRFLOW = str(Path(sys.executable).parent / "airflow")


@pytest.fixture(autouse=True)
def _as_it_was() -> None:
    """There is no stack here that could be as it was."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Airflow's address behind nginx; its ledger has two images, and who runs them."""
    if NGINX is None or not Path(CHROMIUM).is_file():
        pytest.skip("there is no nginx or no browser: scripts/setup packages-browser.txt")
    ledger = Ledger(f"file://{tmp_path}/ledger")
    for event in (bake(image(1)), bake(NEW, 1), members({"web-1": NEW}, 2)):
        ledger.write(event)
    passwords = tmp_path / "passwords.json"
    passwords.write_text(json.dumps({"ann": "secret"}))
    server, port = free_port(), free_port()
    found = f"http://127.0.0.1:{port}/air"
    environment = {key: value for key, value in os.environ.items() if "AIRFLOW" not in key} | {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__API__BASE_URL": f"{found}/",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW_VAR_BAKEHOUSE_LEDGER": f"file://{tmp_path}/ledger",
    }
    subprocess.run([AIRFLOW, "db", "migrate"], env=environment, check=True, cwd=PROJECT)
    program = [
        AIRFLOW,
        "api-server",
        "--port",
        str(server),
        "--proxy-headers",
        "--host",
        "127.0.0.1",
    ]
    started = subprocess.Popen(program, env=environment, cwd=PROJECT)
    try:
        with nginx(tmp_path, port, "air", server):
            wait_until(lambda: answers(f"{found}/api/v2/version"), SOON, "the API server")
            yield found
    finally:
        started.terminate()
        started.wait(60)


def test_the_page_and_its_api_answer_behind_nginx_below_a_base_path(url: str) -> None:
    assert httpx.get(f"{url}/bakehouse/api/v1/images", timeout=SOON).status_code == 401
    with browser_of(url, "ann", "secret") as browser:
        browser.page.set_default_timeout(SOON * 1000)
        errors = browser.errors()
        for page in ("plugin/bakehouse_images", "bakehouse/"):
            browser.go(f"{page}?view=images")
            browser.page.get_by_role("row", name=re.compile(NEW)).wait_for()
            run = browser.page.get_by_role("link", name="Run", exact=True).first
            assert (run.get_attribute("href") or "").startswith(f"{url}/dags/")
            browser.page.get_by_role("link", name="Who runs what").click()
            browser.page.get_by_text("web/web-1").first.wait_for()
        ask = browser.page.request.get
        listed = ask(f"{url}/bakehouse/api/v1/images").json()
        assert {row["image"] for row in listed["images"]} == {image(1), NEW}
        schema = ask(f"{url}/bakehouse/api/v1/openapi.json").json()
        assert schema["servers"] == [{"url": "/air/bakehouse"}]
        assert errors == []
