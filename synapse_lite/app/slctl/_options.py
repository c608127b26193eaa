"""What the commands of slctl share: options, messages, exit codes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import click

from ._fleet import Fleet, FleetError, read_fleet

EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3

_COLOURS = {"good": "green", "bad": "red", "warning": "yellow"}

F = TypeVar("F", bound=Callable[..., Any])

_CONFIG = click.option(
    "-c",
    "--config",
    "config_files",
    multiple=True,
    type=click.Path(exists=True),
    help="Configuration file of the server; later ones override earlier ones.  [default: "
    "homeserver.yaml]",
)


def config_option(command: F) -> F:
    """`-c FILE`, as often as wanted."""
    return _CONFIG(command)


def fleet_options(command: F) -> F:
    """`-c`, and which workers."""
    command = click.option(
        "-a",
        "--all-processes",
        "workers_folder",
        type=click.Path(exists=True, file_okay=False),
        help="The master and a worker for each *.yaml of this folder.  [default: the folder "
        "workers beside the configuration, if there is one]",
    )(command)
    command = click.option(
        "-w",
        "--worker",
        "worker_file",
        type=click.Path(exists=True, dir_okay=False),
        help="Only the worker of this file.",
    )(command)
    return config_option(command)


def fleet_of(
    config_files: Sequence[str], worker_file: str | None = None, workers_folder: str | None = None
) -> Fleet:
    """The processes that the options name. Ends the program when the files cannot be used."""
    if worker_file is not None and workers_folder is not None:
        raise click.UsageError("Give either -w or -a.")
    try:
        return read_fleet(
            config_paths(config_files), worker_file=worker_file, workers_folder=workers_folder
        )
    except FleetError as error:
        fail(str(error))


def config_paths(config_files: Sequence[str]) -> Sequence[str]:
    """The configuration files that were named, or the usual one."""
    if config_files:
        return config_files
    if not os.path.exists("homeserver.yaml"):
        raise click.UsageError("There is no homeserver.yaml here; name one with -c.")
    return ("homeserver.yaml",)


def say(kind: str, text: str) -> None:
    """Print a message, coloured on a terminal; what went wrong to standard error."""
    click.secho(text, fg=_COLOURS.get(kind), err=kind in ("bad", "detail", "warning"))


def fail(text: str) -> NoReturn:
    """Print what is wrong and end the program."""
    say("bad", text)
    raise SystemExit(EXIT_FAILED)
