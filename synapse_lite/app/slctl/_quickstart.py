"""`slctl quickstart`: a whole server in one folder and in the foreground, to try it.

With nginx: master, event_creator, client_reader and synchrotron behind the generated proxy
configuration. Without: the master alone, on the same files, its listeners overridden by one more.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Sequence

import click
import yaml

from ...config.generate import HOMESERVER_FILE, WorkerPlan, generate_config, write_files
from .._nginx import NginxSettings, make_nginx_folders, render_whole
from ._children import Child, ChildDiedError, Children, Stopped
from ._fleet import Fleet, FleetError, Instance, read_fleet
from ._options import say
from ._proxying import render_fleet
from ._system import answers, end_of_file
from ._users import RegistrationFailedError, register_user

SERVER_NAME = "localhost"
PUBLIC_PORT = 8008
MASTER_PORT = 18008
REPLICATION_PORT = 19092
REPLICATION_HTTP_PORT = 19093
FIRST_WORKER_PORT = 18011
WORKER_KINDS = ("event_creator", "client_reader", "synchrotron")

ADMIN = "admin"
_ALONE_FILE = "without_proxy.yaml"
_PASSWORD_FILE = "admin-password"
_START_SECONDS = 60.0
_LOG_LINES = 20


@click.command()
@click.option(
    "--directory",
    default="quickstart-data",
    show_default=True,
    type=click.Path(file_okay=False),
    help="The folder for configuration, keys and data; what it holds is used again.",
)
def quickstart(directory: str) -> None:
    """Run a server on http://localhost:8008 until Ctrl-C, with a first admin user.

    \b
      slctl quickstart --directory /tmp/matrix
    """
    raise SystemExit(Quickstart(os.path.abspath(directory)).run())


class QuickstartError(Exception):
    """It cannot be started; the message is for whoever tries it."""


class Quickstart:
    """One run of a server in a folder."""

    def __init__(self, directory: str, nginx: str | None = None) -> None:
        self.directory = directory
        self.nginx = nginx or find_nginx()
        self.children = Children()
        self._workers: list[Child] = []
        self._proxy: Child | None = None

    def run(self) -> int:
        """Run until told to stop. Returns the exit code."""
        self.children.watch_signals()
        try:
            self._prepare()
            fleet = self._read_fleet()
            self._check_ports(fleet)
            self._start(fleet)
            password = self._make_admin(fleet)
            self._greet(fleet, password)
            self.children.wait()
        except Stopped:
            say("plain", "\nStopping …")
            return 0
        except ChildDiedError as error:
            say("bad", f"{error}. The end of its log:")
            for line in _log_end(error.child):
                say("detail", f"    {line}")
            return 1
        except (QuickstartError, RegistrationFailedError, FleetError, OSError) as error:
            say("bad", str(error))
            return 1
        finally:
            self._stop()
        return 0

    def _path(self, *names: str) -> str:
        return os.path.join(self.directory, *names)

    def _prepare(self) -> None:
        """Write what is missing; what is there is kept."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        if not os.path.exists(self._path(HOMESERVER_FILE)):
            write_files(
                generate_config(
                    SERVER_NAME,
                    self.directory,
                    http_port=MASTER_PORT,
                    replication_port=REPLICATION_PORT,
                    replication_http_port=REPLICATION_HTTP_PORT,
                    public_baseurl=f"http://localhost:{PUBLIC_PORT}",
                    workers=[
                        WorkerPlan(name=kind, app=kind, port=FIRST_WORKER_PORT + index)
                        for index, kind in enumerate(WORKER_KINDS)
                    ],
                )
            )
        make_nginx_folders(self.directory)

    def _read_fleet(self) -> Fleet:
        fleet = read_fleet([self._path(HOMESERVER_FILE)])
        if self.nginx is not None:
            return fleet
        self._write(_ALONE_FILE, yaml.safe_dump({"listeners": [_alone_listener()]}))
        alone = read_fleet(
            [self._path(HOMESERVER_FILE), self._path(_ALONE_FILE)], workers_folder=None
        )
        return Fleet(alone.master, ())

    def _write(self, name: str, text: str) -> str:
        path = self._path(name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _check_ports(self, fleet: Fleet) -> None:
        """Say which port is taken, before anything is started. Raises QuickstartError."""
        wanted = {PUBLIC_PORT: "the server"} if self.nginx is not None else {}
        for instance in fleet.all:
            for listener in instance.listeners:
                wanted[listener.port] = instance.name
        for port, name in wanted.items():
            if not can_listen("127.0.0.1", port):
                raise QuickstartError(
                    f"Port {port} (for {name}) is in use by another program. Stop that first."
                )

    def _start(self, fleet: Fleet) -> None:
        assert fleet.master is not None
        say("plain", "Starting …")
        self._start_process(fleet.master)
        self._wait_until_up(fleet.master)
        # nginx may come up beside the workers: until they answer, it asks the master.
        if self.nginx is not None:
            self._start_nginx(fleet)
        self._workers = [self._start_process(worker) for worker in fleet.workers]
        for worker in fleet.workers:
            self._wait_until_up(worker)
        self.children.wait_until(
            lambda: answers(f"http://127.0.0.1:{PUBLIC_PORT}/health"), _START_SECONDS, "Starting"
        )

    def _start_process(self, instance: Instance) -> Child:
        arguments = [sys.executable, "-m", instance.app]
        for file in instance.files:
            arguments += ["-c", file]
        return self.children.start(
            instance.name,
            arguments,
            folder=self.directory,
            output=self._path("logs", f"{instance.name}.out"),
            log_files=instance.log_files,
        )

    def _wait_until_up(self, instance: Instance) -> None:
        url = instance.base_url
        assert url is not None, "generated processes have a port"
        self.children.wait_until(
            lambda: answers(f"{url}/health"), _START_SECONDS, f"Starting {instance.name}"
        )

    def _start_nginx(self, fleet: Fleet) -> None:
        assert self.nginx is not None
        listen = [f"127.0.0.1:{PUBLIC_PORT}"]
        if can_listen("::1", PUBLIC_PORT):
            listen.append(f"[::1]:{PUBLIC_PORT}")
        settings = NginxSettings(
            listen=listen,
            directory=self.directory,
            # Otherwise the workers of nginx would not be allowed into our folder.
            user="root" if os.geteuid() == 0 else None,
        )
        configuration = self._write(
            "nginx.conf", render_whole(render_fleet(fleet, settings), settings)
        )
        self._proxy = self.children.start(
            "nginx",
            [self.nginx, "-p", self.directory, "-c", configuration],
            folder=self.directory,
            output=self._path("logs", "nginx.out"),
            log_files=[self._path("logs", "nginx-error.log")],
            # Killed at once, it could not end its own workers.
            death_signal=signal.SIGTERM,
        )

    def _make_admin(self, fleet: Fleet) -> str | None:
        """Make the first user, once. Returns the password if it was made now."""
        path = self._path(_PASSWORD_FILE)
        if os.path.exists(path):
            return None
        assert fleet.master is not None
        secret = fleet.master.config.registration.registration_shared_secret
        url = fleet.master.base_url
        assert secret is not None and url is not None, "generated"
        password = secrets.token_urlsafe(12)
        # Written first under another name: a password that is lost would lock everybody out.
        partial = self._write(f"{_PASSWORD_FILE}.new", password + "\n")
        try:
            register_user(url, secret, ADMIN, password, admin=True)
        except RegistrationFailedError as error:
            if error.errcode != "M_USER_IN_USE":
                raise
            os.unlink(partial)
            return None
        os.rename(partial, path)
        return password

    def _greet(self, fleet: Fleet, password: str | None) -> None:
        known = password or f"in {self._path(_PASSWORD_FILE)}"
        names = [*(["nginx"] if self.nginx is not None else []), *(one.name for one in fleet.all)]
        say("good", f"\nThe server is up: http://localhost:{PUBLIC_PORT}\n")
        say(
            "plain",
            f"Log in with any Matrix client, for example Element (app.element.io): choose\n"
            f"  homeserver  http://localhost:{PUBLIC_PORT}   (Sign in → Edit homeserver)\n"
            f"  user        @{ADMIN}:{SERVER_NAME}\n"
            f"  password    {known}\n\n"
            f"More users:   {_program()} register-user -c {self._path(HOMESERVER_FILE)} NAME\n"
            f"Files:        {self.directory}\n"
            f"Logs:         {self._path('logs')}\n"
            f"Processes:    {', '.join(names)}\n\n"
            "Press Ctrl-C to stop.",
        )
        sys.stdout.flush()

    def _stop(self) -> None:
        """Workers, proxy, master."""
        self.children.stop(self._workers)
        if self._proxy is not None:
            self.children.stop([self._proxy])
        self.children.stop_all()


def _program() -> str:
    """How this program was called."""
    name = sys.argv[0]
    return "python -m synapse_lite.app.slctl" if name.endswith("__main__.py") else name


def find_nginx() -> str | None:
    """Where nginx is; /usr/sbin is not in everybody's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def can_listen(address: str, port: int) -> bool:
    """Whether a port is free; also false where the machine does not have the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError:
        return False
    return True


def _alone_listener() -> dict[str, object]:
    return {
        "port": PUBLIC_PORT,
        "type": "http",
        "bind_addresses": ["127.0.0.1", "::1"],
        "resources": [{"names": ["client", "media", "health", "metrics"]}],
    }


def _log_end(child: Child) -> Sequence[str]:
    lines = [line for path in child.log_files for line in end_of_file(path, _LOG_LINES)]
    return list(dict.fromkeys(lines))


__all__ = ["Quickstart", "can_listen", "find_nginx", "quickstart"]
