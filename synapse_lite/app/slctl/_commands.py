"""The commands of slctl."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TextIO

import click

from ... import __version__
from ...config.generate import WorkerPlan, generate_config, write_files
from .._nginx import NginxSettings, make_nginx_folders, render_whole
from .._proxy import ProxyError
from ..table import WORKERS
from ._control import Control
from ._fleet import Fleet, Instance
from ._heartbeats import in_words, read_heartbeats
from ._options import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    config_option,
    config_paths,
    fail,
    fleet_of,
    fleet_options,
    say,
)
from ._proxying import render_fleet
from ._quickstart import quickstart
from ._system import RealSystem
from ._users import RegistrationFailedError, register_user

_FIRST_WORKER_PORT = 8081
_PASSWORD_VARIABLE = "SLCTL_PASSWORD"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="slctl")
def main() -> None:
    """Run and look after a synapse_lite server.

    \b
    A new server:
      slctl generate --server-name example.com --directory /srv/matrix
      slctl start -c /srv/matrix/homeserver.yaml
      slctl register-user -c /srv/matrix/homeserver.yaml alice --admin
    """


def _run(fleet: Fleet, verb: Callable[[Control, Fleet], bool]) -> None:
    if not verb(Control(RealSystem(), say), fleet):
        raise SystemExit(EXIT_FAILED)


@main.command()
@fleet_options
def start(config_files: Sequence[str], worker_file: str | None, workers_folder: str | None) -> None:
    """Start what does not run yet, and wait until each process answers.

    The exit code is 1 if one did not start; then the end of its log is shown.

    \b
      slctl start                                   master and workers/*.yaml beside it
      slctl start -c homeserver.yaml -a workers/    the same with another folder
      slctl start -w workers/synchrotron.yaml       one worker
    """
    _run(fleet_of(config_files, worker_file, workers_folder), Control.start)


@main.command()
@fleet_options
def stop(config_files: Sequence[str], worker_file: str | None, workers_folder: str | None) -> None:
    """Stop workers, then the master.

    Each has 30 seconds to end what it is doing. What does not run is no error.

    \b
      slctl stop -c homeserver.yaml
      slctl stop -w workers/synchrotron.yaml
    """
    _run(fleet_of(config_files, worker_file, workers_folder), Control.stop)


@main.command()
@fleet_options
def restart(
    config_files: Sequence[str], worker_file: str | None, workers_folder: str | None
) -> None:
    """Stop, then start.

    \b
      slctl restart -c homeserver.yaml
      slctl restart -w workers/synchrotron.yaml
    """
    _run(fleet_of(config_files, worker_file, workers_folder), Control.restart)


@main.command()
@fleet_options
def status(
    config_files: Sequence[str], worker_file: str | None, workers_folder: str | None
) -> None:
    """Say which processes run and answer, since when, and how far workers are behind.

    The exit code is 3 if one does not.

    \b
      slctl status -c homeserver.yaml
    """
    states = Control(RealSystem(), say).states(fleet_of(config_files, worker_file, workers_folder))
    beats = read_heartbeats(states[0].instance.config)
    width = max(len(state.instance.name) for state in states)
    for state in states:
        beat = beats.get(state.instance.name)
        if state.pid is None:
            found = "not running"
        elif not state.is_healthy:
            found = f"running (pid {state.pid}), but does not answer"
        elif beat is None or beat.pid != state.pid:
            found = f"running (pid {state.pid})"
        else:
            found = f"running (pid {state.pid}), {in_words(beat, int(time.time() * 1000))}"
        kind = "good" if state.is_good else "warning"
        say(kind, f"{state.instance.name:{width}}  {found}")
    if not all(state.is_good for state in states):
        raise SystemExit(EXIT_NOT_RUNNING)


@main.command()
@click.option("--server-name", required=True, help="The name in user ids, such as example.com.")
@click.option(
    "--directory", required=True, type=click.Path(file_okay=False), help="The folder to fill."
)
@click.option("--public-baseurl", help="Where clients reach the server, if they are to be told.")
@click.option("--port", default=8008, show_default=True, help="The master's port for clients.")
@click.option(
    "--worker",
    "workers",
    multiple=True,
    type=click.Choice([worker.name for worker in WORKERS]),
    help="A worker to write a file for; may be repeated, also with the same kind.",
)
def generate(
    server_name: str,
    directory: str,
    public_baseurl: str | None,
    port: int,
    workers: Sequence[str],
) -> None:
    """Write the configuration of a new server, with fresh secrets and SQLite.

    Nothing that exists is overwritten.

    \b
      slctl generate --server-name example.com --directory /srv/matrix
      slctl generate --server-name example.com --directory /srv/matrix \\
          --worker event_creator --worker client_reader --worker synchrotron
    """
    try:
        files = generate_config(
            server_name,
            os.path.abspath(directory),
            http_port=port,
            public_baseurl=public_baseurl,
            workers=_plans(workers),
        )
        write_files(files)
    except (ValueError, OSError) as error:
        fail(str(error))
    for path in files:
        say("plain", f"wrote {path}")
    say("good", f"Start it with: slctl start -c {next(iter(files))}")


def _plans(kinds: Sequence[str]) -> list[WorkerPlan]:
    plans: list[WorkerPlan] = []
    for index, kind in enumerate(kinds):
        before = sum(plan.app == kind for plan in plans)
        several = kinds.count(kind) > 1
        name = f"{kind}{before + 1}" if several else kind
        plans.append(WorkerPlan(name=name, app=kind, port=_FIRST_WORKER_PORT + index))
    return plans


@main.command("register-user")
@config_option
@click.argument("name")
@click.option(
    "-a", "--admin/--no-admin", "admin", default=False, help="Whether to make an administrator."
)
@click.option("--server", "url", help="Where the server is.  [default: from the configuration]")
@click.option(
    "--password-file", type=click.File("r"), help="A file with the password; - is standard input."
)
def register(
    config_files: Sequence[str],
    name: str,
    admin: bool,
    url: str | None,
    password_file: TextIO | None,
) -> None:
    """Make a user. The server must run, and have a registration_shared_secret.

    The password comes from --password-file, the variable SLCTL_PASSWORD, or a prompt.

    \b
      slctl register-user -c homeserver.yaml alice --admin
      slctl register-user alice --password-file alice.password
    """
    master = fleet_of(config_paths(config_files)).master
    assert master is not None
    secret = master.config.registration.registration_shared_secret
    if secret is None:
        fail("registration_shared_secret is not set")
    url = url or master.base_url
    if url is None:
        fail("The master has no http listener; name the server with --server")
    if password_file is not None:
        password = password_file.read().rstrip("\r\n")
    else:
        password = os.environ.get(_PASSWORD_VARIABLE) or click.prompt(
            "Password", hide_input=True, confirmation_prompt=True
        )
    try:
        user_id = register_user(url, secret, name, password, admin=admin)
    except RegistrationFailedError as error:
        fail(str(error))
    say("good", f"Made {user_id}")


@main.command("proxy-config")
@click.argument("proxy", type=click.Choice(["nginx"]))
@config_option
@click.option(
    "-a",
    "--all-processes",
    "workers_folder",
    type=click.Path(exists=True, file_okay=False),
    help="The workers' files.  [default: the folder workers beside the configuration]",
)
@click.option(
    "--listen",
    multiple=True,
    default=["127.0.0.1:8008"],
    show_default=True,
    help="Where nginx listens, in its own form; may be repeated.",
)
@click.option("--certificate", type=click.Path(), help="Speak TLS with this certificate chain.")
@click.option("--key", type=click.Path(), help="The key of the certificate.")
@click.option("--print", "whole", is_flag=True, help="A whole configuration that `nginx -c` takes.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False),
    help="Where nginx keeps its logs and, with --print, its pid and temporary files.",
)
def proxy_config(
    proxy: str,
    config_files: Sequence[str],
    workers_folder: str | None,
    listen: Sequence[str],
    certificate: str | None,
    key: str | None,
    whole: bool,
    directory: str | None,
) -> None:
    """Print the reverse proxy's configuration, made from what each process declares.

    Without --print it is what belongs inside `http { … }`, such as a file in /etc/nginx/conf.d.

    \b
      slctl proxy-config nginx -c homeserver.yaml -a workers/ \\
          --listen 443 --certificate fullchain.pem --key privkey.pem > matrix.conf
      slctl proxy-config nginx --print --directory /srv/matrix > nginx.conf
    """
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key go together.")
    fleet = fleet_of(config_files, None, workers_folder)
    settings = NginxSettings(
        listen=listen,
        certificate=certificate,
        key=key,
        directory=None if directory is None else os.path.abspath(directory),
    )
    try:
        server = render_fleet(fleet, settings)
        if settings.directory is not None:
            make_nginx_folders(settings.directory)
    except (ProxyError, OSError) as error:
        fail(str(error))
    click.echo(render_whole(server, settings) if whole else server, nl=False)


@main.command("check-config")
@fleet_options
def check_config(
    config_files: Sequence[str], worker_file: str | None, workers_folder: str | None
) -> None:
    """Read the configuration of every process and report all that is wrong with it.

    The exit code is 1 if something is. Warnings are shown, and do not change it.

    \b
      slctl check-config -c homeserver.yaml -a workers/
    """
    fleet = fleet_of(config_files, worker_file, workers_folder)
    for warning in dict.fromkeys(_warnings(fleet.all)):
        say("warning", warning)
    say("good", f"{', '.join(instance.name for instance in fleet.all)}: no problem found")


def _warnings(instances: Sequence[Instance]) -> list[str]:
    found = [warning for instance in instances for warning in instance.config.warnings]
    for instance in instances:
        if instance.pid_file is None:
            option = "pid_file" if instance.process.is_master else "worker_pid_file"
            found.append(f"{instance.files[-1]}: {option} is not set: slctl start needs it")
    return found


main.add_command(quickstart)
