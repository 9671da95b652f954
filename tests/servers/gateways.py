"""Real gateways before Togai: nginx, HAProxy and squid, each as processes of its own on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from serving import PATIENCE

CERTIFICATE = Path(__file__).parents[1] / "loopback.pem"  # of localhost, self-signed; its key opens nothing
BESIDE = "/usr/sbin:/usr/local/sbin"  # where Debian puts them, which is on root's path alone


def program(name: str) -> str:
    """Where it is; the test is skipped where it is not, since only root can install it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{BESIDE}")
    if found is None:
        pytest.skip(f"{name} is not here; .ci/run installs it from Debian, where it runs as root")
    return found


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@attrs.define(eq=False)
class Gateway:
    """A gateway: ``command`` runs it by the configuration file, whose text ``configure`` gives."""

    command: tuple[str, ...]
    file: Path
    port: int
    reload_by: signal.Signals
    reloaded: str  # what it says in its log when it is started, or has read its configuration again
    configure: Callable[..., str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The same as a base URL."""
        return f"http://{self.address}"

    def write(self, **settings: str) -> None:
        """Write its configuration."""
        self.file.write_text(self.configure(**settings))

    def start(self) -> None:
        """Run it; it listens when this returns."""
        with (self.file.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        assert wait(self._is_listening), self.log
        assert wait(lambda: self.reloaded in self.log), self.log

    def reload(self, **settings: str) -> None:
        """Tell it to read its configuration again, after it was written anew."""
        if settings:
            self.write(**settings)
        assert self.process is not None
        before = self.log.count(self.reloaded)
        for _ in range(100):  # HAProxy hears no signal in the moment after it was started
            self.process.send_signal(self.reload_by)
            if wait(lambda: self.log.count(self.reloaded) > before, 0.3):
                return
        raise AssertionError(self.log)

    def stop(self) -> None:
        """End it at once, with all its processes."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def restart(self) -> None:
        """End it, and run it again."""
        self.stop()
        self.start()

    @property
    def log(self) -> str:
        """What it said."""
        return (self.file.parent / "log").read_text()

    def _is_listening(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE):
            return True
        return False


@contextmanager
def running(make: Callable[[Path, int], Gateway], **settings: str) -> Iterator[Gateway]:
    """Have a gateway, in a folder and on a port of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # squid gives up root
        gateway = make(Path(folder), free_port())
        gateway.write(**settings)
        try:
            gateway.start()
            yield gateway
        except BaseException:
            print(gateway.log)  # noqa: T201  pytest shows it with the failure
            raise
        finally:
            gateway.stop()


def wait(predicate: Callable[[], Any], timeout: float = PATIENCE) -> bool:
    """Wait until the predicate is true; return whether it became so."""
    until = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)  # between looks at another process, which rings for nobody
    return True


# --- nginx --------------------------------------------------------------------------------------------------

NGINX = """
daemon off;
{user}
pid {folder}/pid;
error_log stderr notice;
worker_processes 2;
worker_shutdown_timeout 1s;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream togai {{ server {upstream}; keepalive 4; }}
    {http}
    server {{
        listen 127.0.0.1:{port} {listen};
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location / {{
            proxy_pass http://togai;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            {location}
        }}
        location = /maintenance {{ internal; default_type text/html; return 200 "<p>back soon</p>"; }}
    }}
}}
"""


def nginx(upstream: str) -> Callable[[Path, int], Gateway]:
    """Make nginx before ``upstream``; settings: ``http``, ``location`` (directives), ``listen`` (``ssl``)."""
    binary = program("nginx")

    def make(folder: Path, port: int) -> Gateway:
        def configure(http: str = "", location: str = "", listen: str = "") -> str:
            return NGINX.format(
                folder=folder,
                port=port,
                upstream=upstream,
                user="user root;" if os.geteuid() == 0 else "",
                http=http,
                location=location,
                listen=listen,
                certificate=CERTIFICATE,
            )

        file = folder / "nginx.conf"
        command = (binary, "-e", "stderr", "-p", str(folder), "-c", str(file))
        return Gateway(command, file, port, signal.SIGHUP, "start worker processes", configure)

    return make


# --- HAProxy ------------------------------------------------------------------------------------------------

HAPROXY = """
global
    hard-stop-after 1s
    {tuning}
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
    {defaults}
frontend front
    bind 127.0.0.1:{port}
    {front}
    default_backend togai
backend togai
    {back}
    server one {upstream} {server}
"""


def haproxy(upstream: str) -> Callable[[Path, int], Gateway]:
    """Make HAProxy before ``upstream``; settings: ``defaults``, ``front``, ``back`` and ``server``."""
    binary = program("haproxy")

    def make(folder: Path, port: int) -> Gateway:
        def configure(defaults: str = "", front: str = "", back: str = "", server: str = "") -> str:
            given = {"defaults": defaults, "front": front, "back": back, "server": server}
            return HAPROXY.format(port=port, upstream=upstream, tuning="maxconn 256", **given)

        file = folder / "haproxy.cfg"
        return Gateway(
            (binary, "-W", "-f", str(file)), file, port, signal.SIGUSR2, "Loading success", configure
        )

    return make


# --- squid --------------------------------------------------------------------------------------------------

SQUID = """
http_port 127.0.0.1:{port}
pid_filename {folder}/pid
cache_log stdio:{folder}/cache.log
access_log none
cache_store_log none
netdb_filename none
coredump_dir {folder}
cache deny all
pinger_enable off
visible_hostname gateway
shutdown_lifetime 0 seconds
hosts_file {folder}/hosts
{settings}
{access}
"""


def squid(*, names: tuple[str, ...] = ()) -> Callable[[Path, int], Gateway]:
    """Make squid, to which these names are loopback; settings: ``settings`` and ``access`` (who may)."""
    binary = program("squid")

    def make(folder: Path, port: int) -> Gateway:
        (folder / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in names))

        def configure(settings: str = "", access: str = "http_access allow all") -> str:
            return SQUID.format(folder=folder, port=port, settings=settings, access=access)

        file = folder / "squid.conf"
        return Gateway((binary, "-N", "-f", str(file)), file, port, signal.SIGHUP, "", configure)

    return make
