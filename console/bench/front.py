"""nginx before several servers, with the configuration that `answerdeck deploy` writes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from console.bench.processes import BenchError, free_port
from console.deploy.proxy import configuration

_START_SECONDS = 10
_AROUND = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


@contextmanager
def proxied(servers: Sequence[str], folder: Path) -> Iterator[str]:
    """Run nginx before these servers (host:port); yield its address, or raise BenchError where it is not."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise BenchError("nginx is not installed here")
    folder.mkdir()
    port = free_port()
    server = re.sub(r"listen \d+;", f"listen 127.0.0.1:{port};", configuration(servers))
    user = "user root;" if os.geteuid() == 0 else ""  # whose folder this is
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, server=server, user=user))
    command = [program, "-p", str(folder), "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}", process, folder / "errors")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], errors: Path) -> None:
    """Wait until nginx answers; /metrics it refuses by itself."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(f"{address}/metrics", timeout=1)
            return
        except httpx.HTTPError:
            time.sleep(0.02)
    process.kill()
    raise BenchError(f"nginx does not start: {errors.read_text()[-300:] if errors.exists() else ''}")
