"""What a process is to the operating system: signals, daemons, exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import CancelledError, Deferred

from ..config import Config
from ..config.worker import MASTER_APP
from ..logging.setup import (
    LoggingSetupError,
    all_handlers,
    reopen_log_files,
    setup_logging,
)
from ..server import WiringError
from ..storage.errors import StoreError
from ..util.background import run_in_background
from ..util.memory import settle_memory
from ._files import (
    StartError,
    apply_limits,
    daemonize,
    leave_terminal,
    notify_systemd,
)
from ._pids import remove_pid_file, write_pid_file
from ._process import Process
from ._run import Runner

logger = logging.getLogger(__name__)


def main(
    process: Process | Callable[[Config], Process],
    config: Config,
    files: list[str],
    *,
    daemonize: bool,
) -> None:
    """Run a process until it is told to stop; a function says which, given the configuration.

    `files` are the configuration as it was named.
    """
    try:
        chosen = process if isinstance(process, Process) else process(config)
        _check_app(chosen, config)
    except StartError as error:
        sys.exit(str(error))
    _Main(chosen, config, files, daemonize=daemonize).run()


def _check_app(process: Process, config: Config) -> None:
    """Refuse to start one kind of process with the configuration of another."""
    expected = config.worker.app or MASTER_APP
    if process.app != expected:
        raise StartError(f"worker_app: the configuration is for {expected}, this is {process.app}")


class _Main:
    """See the module."""

    def __init__(
        self, process: Process, config: Config, files: list[str], *, daemonize: bool
    ) -> None:
        self._config = config
        self._process = process
        self._files = files
        worker = not process.is_master
        own = config.worker if worker else config.daemon
        self._name = config.worker.name or process.name
        self._daemonize = daemonize or own.daemonize
        self._pid_file = own.pid_file
        self._cpu_affinity = own.cpu_affinity
        self._log_config, self._log_file = log_destination(config)
        self._reactor: Any = installed_reactor
        self._runner = Runner(process, config, self._reactor)
        self._starting: Deferred[None] | None = None
        self._ready_pipe: int | None = None
        self._stopping = False
        self._exit_code = 0

    def run(self) -> None:
        """Run until told to stop; ends the interpreter."""
        try:
            self._prepare()
        except (LoggingSetupError, StartError, OSError, ValueError) as error:
            sys.exit(f"{self._name}: not started: {error}")
        try:
            for warning in self._config.warnings:
                logger.warning("%s", warning)
            self._reactor.callWhenRunning(self._begin)
            self._reactor.run(installSignalHandlers=False)
        finally:
            if self._pid_file is not None:
                remove_pid_file(self._pid_file)
        logging.shutdown()
        sys.exit(self._exit_code)

    def _prepare(self) -> None:
        if self._daemonize:
            self._ready_pipe = daemonize()
        # The identity of this process is only known now that it has its last pid.
        self._runner.identify()
        setup_logging(self._log_config, self._name, log_file=self._log_file)
        apply_limits(self._config, self._cpu_affinity)
        # Twisted's own handlers would stop the reactor before the shut-down steps have run.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)
        if self._pid_file is not None:
            write_pid_file(self._pid_file, self._process.app, self._files)

    def _begin(self) -> None:
        starting = run_in_background(self._start)
        if not starting.called:
            self._starting = starting

    async def _start(self) -> None:
        try:
            await self._runner.start()
        except CancelledError:
            logger.info("Told to stop before it was up")
        except (StartError, StoreError, WiringError, ValueError) as error:
            await self._fail(str(error))
        except Exception:
            logger.exception("Starting failed")
            await self._fail("The log says why")
        else:
            self._starting = None
            settle_memory()
            self._report_ready()

    async def _fail(self, message: str) -> None:
        self._starting = None
        logger.critical("Not started: %s", message)
        if not _logs_to_terminal():
            print(f"{self._name}: not started: {message}", file=sys.stderr)
        self._exit_code = 1
        await self._stop()

    def _report_ready(self) -> None:
        """Tell the process in the foreground that it may go."""
        if self._ready_pipe is None:
            return
        try:
            os.write(self._ready_pipe, b"1")
        except BrokenPipeError:
            logger.info("Nobody waited for this process to be up")
        os.close(self._ready_pipe)
        self._ready_pipe = None
        leave_terminal()

    # Signals come between any two steps of the interpreter, so they only queue what they mean.

    def _on_stop_signal(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._stop_because_of, number)

    def _on_hangup(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._reload)

    def _stop_because_of(self, number: int) -> None:
        logger.info("Stopping, because of %s", signal.Signals(number).name)
        run_in_background(self._stop)

    async def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
        await self._runner.stop()
        self._reactor.stop()

    def _reload(self) -> None:
        notify_systemd("RELOADING=1")
        reopen_log_files()
        self._runner.reload()
        logger.info("Log files were opened anew")
        notify_systemd("READY=1")


def log_destination(config: Config) -> tuple[str | None, str | None]:
    """The log configuration and the log file of a process; at most one of them is given."""
    worker = config.worker
    if worker.app is None:
        return config.logging.log_config, None
    if worker.log_config is not None:
        return worker.log_config, None
    if worker.log_file is not None:
        return None, worker.log_file
    return config.logging.log_config, None


def _logs_to_terminal() -> bool:
    return any(
        isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
        for handler in all_handlers()
    )
