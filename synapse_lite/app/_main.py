"""The command line of a process: `python -m synapse_lite.app.<name> -c FILE [-c FILE …]`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed_reactor

from ..config import Config, ConfigError, read_config
from ..config.worker import MASTER_APP
from ..logging.setup import LoggingSetupError, reopen_log_files, setup_logging
from ..server import WiringError
from ..storage.errors import StoreError
from ..util.background import run_in_background
from ._files import (
    StartError,
    apply_limits,
    daemonize,
    leave_terminal,
    notify_systemd,
    remove_pid_file,
    write_pid_file,
)
from ._process import Process
from ._run import Runner

logger = logging.getLogger(__name__)

# How often the interpreter lock changes hands while database threads and the reactor compete:
# measured in docs/decisions/0010-threads.md.
SWITCH_INTERVAL_SECONDS = 0.005


def main(
    process: Process | Callable[[Config], Process], arguments: list[str] | None = None
) -> None:
    """Run a process until it is told to stop; a function says which, given the configuration."""
    options = _parse(arguments)
    try:
        config = read_config(options.config)
        chosen = process if isinstance(process, Process) else process(config)
        _check_app(chosen, config)
    except (ConfigError, StartError) as error:
        sys.exit(str(error))
    _Main(chosen, config, daemonize=options.daemonize).run()


def _check_app(process: Process, config: Config) -> None:
    """Refuse to start one kind of process with the configuration of another."""
    expected = config.worker.app or MASTER_APP
    if process.app != expected:
        raise StartError(f"worker_app: the configuration is for {expected}, this is {process.app}")


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


class _Main:
    """What a process is to the operating system."""

    def __init__(self, process: Process, config: Config, *, daemonize: bool) -> None:
        self._config = config
        self._process = process
        worker = not process.is_master
        own = config.worker if worker else config.daemon
        self._daemonize = daemonize or own.daemonize
        self._pid_file = own.pid_file
        self._cpu_affinity = own.cpu_affinity
        self._log_config = config.logging.log_config
        self._log_file: str | None = None
        if worker:
            self._log_config = config.worker.log_config or (
                None if config.worker.log_file else config.logging.log_config
            )
            self._log_file = config.worker.log_file
        self._reactor: Any = installed_reactor
        self._runner: Runner | None = None
        self._ready_pipe: int | None = None
        self._stopping = False
        self._exit_code = 0

    def run(self) -> None:
        """Run until told to stop; ends the interpreter."""
        try:
            if self._daemonize:
                self._ready_pipe = daemonize()
            setup_logging(self._log_config, self._name, log_file=self._log_file)
            if self._pid_file is not None:
                write_pid_file(self._pid_file)
            apply_limits(self._config, self._cpu_affinity)
        except (LoggingSetupError, StartError, OSError, ValueError) as error:
            sys.exit(str(error))
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        for warning in self._config.warnings:
            logger.warning("%s", warning)
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run(installSignalHandlers=False)
        if self._pid_file is not None:
            remove_pid_file(self._pid_file)
        sys.exit(self._exit_code)

    @property
    def _name(self) -> str:
        return self._config.worker.name or self._process.name

    def _begin(self) -> None:
        # Twisted's own handlers would stop the reactor before the shut-down steps have run.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)
        signal.set_wakeup_fd(-1)
        run_in_background(self._start)

    async def _start(self) -> None:
        self._runner = Runner(self._process, self._config, self._reactor)
        try:
            await self._runner.start()
        except (StartError, StoreError, WiringError, ValueError) as error:
            self._fail(str(error))
            await self._stop()
        except Exception:
            logger.exception("Starting failed")
            self._fail("Starting failed; the log says why")
            await self._stop()
        else:
            self._report_ready()

    def _fail(self, message: str) -> None:
        logger.critical("Not started: %s", message)
        if self._log_config is not None or self._log_file is not None:
            print(f"{self._name}: not started: {message}", file=sys.stderr)
        self._exit_code = 1

    def _report_ready(self) -> None:
        """Tell the process in the foreground that it may go."""
        if self._ready_pipe is not None:
            os.write(self._ready_pipe, b"1")
            os.close(self._ready_pipe)
            self._ready_pipe = None
            leave_terminal()

    def _on_stop_signal(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._stop_once, number)

    def _on_hangup(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._reload)

    def _stop_once(self, number: int) -> None:
        if self._stopping:
            return
        logger.info("Stopping, because of %s", signal.Signals(number).name)
        run_in_background(self._stop)

    async def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        if self._runner is not None:
            await self._runner.stop()
        self._reactor.stop()

    def _reload(self) -> None:
        notify_systemd("RELOADING=1")
        reopen_log_files()
        if self._runner is not None:
            self._runner.reload()
        logger.info("Log files were opened anew")
        notify_systemd("READY=1")
