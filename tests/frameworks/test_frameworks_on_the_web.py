"""Web frameworks and servers, each stopped by SIGTERM: every request is billed once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import MOD_WSGI, PATIENCE, assert_all_is_billed_once, free_port, needs, running, write_programs

import togai_shipper
from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.night

REQUESTS = 20
ITEM = "/items/7"
UVICORN = ("uvicorn", "--port", "{port}")
HYPERCORN = ("hypercorn", "--bind", "127.0.0.1:{port}")
GRANIAN = ("granian", "--port", "{port}", "--interface")
GUNICORN = ("gunicorn", "--no-control-socket", "--bind", "127.0.0.1:{port}", "--workers", "2")


def row(
    name: str, *command: str, packages: tuple[str, ...], path: str = "/", ready: tuple[str, int] = ("", 0)
) -> object:
    """A row of the table; ``ready`` is what its log says, and how often, when all workers have begun.

    One that has not does not hear SIGTERM, and the server waits for it.
    """
    return pytest.param(path, ready, command, id=name, marks=needs(*packages))


ROWS = [
    row("Litestar", *UVICORN, "litestar_app:app", packages=("litestar", "uvicorn"), path=ITEM),
    row("Quart", *UVICORN, "quart_app:app", packages=("quart", "uvicorn"), path=ITEM),
    row("Quart, hypercorn", *HYPERCORN, "quart_app:app", packages=("quart", "hypercorn"), path=ITEM),
    row("aiohttp", sys.executable, "aiohttp_app.py", "{port}", packages=("aiohttp",), path=ITEM),
    row(
        "aiohttp, gunicorn",
        *(*GUNICORN, "--worker-class", "aiohttp.GunicornWebWorker", "aiohttp_app:app"),
        packages=("aiohttp", "gunicorn"),
        path=ITEM,
        ready=("Booting worker", 2),
    ),
    row("Tornado", sys.executable, "tornado_app.py", "{port}", packages=("tornado",), path=ITEM),
    row("uvicorn", *UVICORN, "asgi:app", packages=("uvicorn",)),
    row(
        "uvicorn, workers",
        *(*UVICORN, "--workers", "2", "asgi:app"),
        packages=("uvicorn",),
        ready=("Application startup complete", 2),
    ),
    row(
        "uvicorn's worker",
        *(*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker", "asgi:app"),
        packages=("uvicorn-worker", "gunicorn"),
        ready=("Application startup complete", 2),
    ),
    *(
        row(
            f"gunicorn, {kind}",
            *(*GUNICORN, "--worker-class", kind, app),
            packages=("gunicorn",),
            ready=(ready, 2),
        )
        for kind, app, ready in (
            ("sync", "wsgi:app", "Booting worker"),
            ("gthread", "wsgi:app", "Booting worker"),
            ("gevent", "wsgi:app", "Booting worker"),
            ("asgi", "plain_asgi:app", "ASGI server listening"),
        )
    ),
    *(
        row(
            f"hypercorn, {app}, {workers}",
            *(*HYPERCORN, "--workers", str(workers), app),
            packages=("hypercorn",),
            ready=("Running on", workers),
        )
        for app in ("plain_asgi:app", "wsgi:wsgi:app")
        for workers in (1, 2)
    ),
    *(
        row(
            f"granian, {app}, {workers}",
            *(*GRANIAN, kind, "--workers", str(workers), app),
            packages=("granian",),
            ready=("Started worker", workers),
        )
        for kind, app in (("asgi", "plain_asgi:app"), ("wsgi", "wsgi:app"))
        for workers in (1, 2)
    ),
    row("daphne", "daphne", "--port", "{port}", "plain_asgi:app", packages=("daphne",)),
]


@pytest.mark.parametrize(("path", "ready", "command"), ROWS)
def test_every_request_is_billed_once(
    togai: FakeTogai, tmp_path: Path, path: str, ready: tuple[str, int], command: tuple[str, ...]
) -> None:
    write_programs(tmp_path)
    with running(togai, *command, folder=tmp_path) as server:
        server.wait_until_it_listens()
        server.wait_until_it_says(*ready)
        for _ in range(REQUESTS):
            server.get(path)
        assert togai.ledger.accepted == 0

        server.stop()
        assert_all_is_billed_once(togai, REQUESTS)


@needs("sanic")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_request_of_sanic_is_billed_once(togai: FakeTogai, tmp_path: Path, workers: str) -> None:
    """So many that Sanic's main process has heard of its workers: one that has not hangs at SIGTERM."""
    write_programs(tmp_path)
    command = ("sanic", "sanic_app:app", "--port", "{port}", "--workers", workers)
    with running(togai, *command, folder=tmp_path) as server:
        server.wait_until_it_listens()
        for _ in range(450):
            server.get(ITEM)

        server.stop()
        assert_all_is_billed_once(togai, 450)


@needs("grpcio")
def test_every_call_of_grpc_is_billed_once(togai: FakeTogai, tmp_path: Path) -> None:
    import grpc  # noqa: PLC0415  if it is installed

    write_programs(tmp_path)
    with running(togai, sys.executable, "grpc_server.py", "{port}", folder=tmp_path) as server:
        server.wait_until_it_listens()
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            read = channel.unary_unary("/shop.Items/Read")
            for _ in range(REQUESTS):
                assert read(b"item", timeout=PATIENCE) == b"item"

        server.stop()
        assert_all_is_billed_once(togai, REQUESTS)


def debians(package: str) -> str:
    """The version of a package of Debian's that is installed; empty where there is none."""
    if shutil.which("dpkg-query") is None:
        return ""
    query = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout


APACHE = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/log
Listen 127.0.0.1:{port}
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
WSGIScriptAlias / {folder}/site/wsgi.py
<Directory {folder}/site>
Require all granted
</Directory>
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that Apache's user may read, too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(
    os.geteuid() != 0 or not debians("libapache2-mod-wsgi-py3").startswith(MOD_WSGI),
    reason=f"not root, or there is no mod_wsgi {MOD_WSGI} of Debian's",
)
def test_every_request_of_mod_wsgi_is_billed_once(togai: FakeTogai, open_folder: Path) -> None:
    site, python, port = open_folder / "site", open_folder / "python", free_port()
    shutil.copytree(Path(togai_shipper.__file__).parent, site / "togai_shipper")
    write_programs(site)
    text = (site / "wsgi.py").read_text("utf-8")  # mod_wsgi has a name of its own for it
    (site / "wsgi.py").write_text(f"{text}\n\napplication = app\n", "utf-8")
    subprocess.run(["/usr/bin/python3", "-m", "venv", python], check=True)
    subprocess.run(
        [python / "bin" / "pip", "install", "--quiet", "requests", "tenacity", "attrs"], check=True
    )
    daemon = f"threads=5 python-home={python} python-path={site}"
    lines = (site / "shop.conf").read_text("utf-8").replace("threads=5", daemon)
    conf = open_folder / "apache.conf"
    conf.write_text(APACHE.format(folder=open_folder, port=port) + lines, "utf-8")

    with running(togai, "apache2", "-f", str(conf), "-DFOREGROUND", folder=open_folder, port=port) as server:
        server.wait_until_it_listens()
        for _ in range(REQUESTS):
            server.get("/")
        assert togai.ledger.accepted == 0

        server.stop()
        assert_all_is_billed_once(togai, REQUESTS)
