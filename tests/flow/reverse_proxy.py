"""nginx in front of an API server, below a base path: as Airflow's documentation configures it."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from tests.support.deadlines import SOON

from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /{base}/ {{
      proxy_pass http://127.0.0.1:{server};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_http_version 1.1;
      proxy_redirect off;
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, port: int, base: str, server: int) -> Generator[None]:
    """Serve `http://127.0.0.1:<port>/<base>/` from an API server's port; other paths are 404."""
    assert NGINX is not None
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, port=port, base=base, server=server)
    )
    started = subprocess.Popen([NGINX, "-c", str(configuration), "-p", str(folder)])
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/", 404), SOON, "nginx to answer")
        yield
    finally:
        started.terminate()
        started.wait(30)


def answers(url: str, status: int = 200) -> bool:
    """Whether a server gives this answer."""
    try:
        return httpx.get(url, timeout=60).status_code == status
    except httpx.HTTPError:
        return False
