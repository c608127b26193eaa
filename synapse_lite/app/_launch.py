"""The command line of a process: `python -m synapse_lite.app.<name> -c FILE [-c FILE …]`.

The configuration is read before anything else is imported, because what is imported depends on it.
TLS is a fifth of the memory of a master that has only begun: OpenSSL, its bindings, and what
Twisted builds on them. Behind a reverse proxy most processes never speak it.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

from ..config import Config, ConfigError, read_config

_PACKAGE = __package__
assert _PACKAGE is not None


def launch(kind: str, arguments: list[str] | None = None) -> None:
    """Run a kind of process until it is told to stop, and end the interpreter.

    `kind` is a module of `kinds` and what it calls the process, such as "homeserver:MASTER".
    """
    options = _parse(arguments)
    try:
        config = read_config(options.config)
    except ConfigError as error:
        sys.exit(str(error))
    if not speaks_tls(config):
        leave_out_tls()
    process = pkgutil.resolve_name(f"{_PACKAGE}.kinds.{kind}")
    main = importlib.import_module("._main", _PACKAGE).main
    main(process, config, options.config, daemonize=options.daemonize)


def speaks_tls(config: Config) -> bool:
    """Whether the process has a port with TLS, or may ask the master at one."""
    listeners = (*config.server.listeners, *config.worker.listeners)
    return any(listener.tls for listener in listeners)


def leave_out_tls() -> None:
    """Let Twisted, when it is imported, find that this interpreter has no TLS."""
    assert "twisted.internet.tcp" not in sys.modules, "Twisted has been imported with its TLS"
    sys.modules["OpenSSL"] = None  # type: ignore[assignment]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A process of synapse_lite.")
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        required=True,
        metavar="FILE",
        help="configuration file or folder; later ones override earlier ones",
    )
    parser.add_argument(
        "-D", "--daemonize", action="store_true", help="go to the background once started"
    )
    return parser.parse_args(arguments)
