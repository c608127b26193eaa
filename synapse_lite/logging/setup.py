"""Sets up logging when a process starts, and reopens its files on SIGHUP."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import os
import sys
from collections.abc import Iterator
from typing import Any

import yaml
from twisted.logger import LogBeginner, STDLibLogObserver, globalLogBeginner

from synapse_lite.logging.filter import LogContextFilter
from synapse_lite.logging.lines import LineFormatter, RotatingLogFile

DEFAULT_FORMAT = (
    "%(asctime)s - %(process_name)s - %(name)s - %(lineno)d - %(levelname)s"
    " - %(request)s - %(message)s"
)

MAX_LOG_FILE_SIZE = 100 * 1024 * 1024
KEPT_LOG_FILES = 10

_CONTEXT_FILTER = f"{LogContextFilter.__module__}.{LogContextFilter.__qualname__}"

# COMPAT(as long as operators bring their log configurations along): what those name, and what
# does the same here.
_REPLACED_FILTERS = {
    "synapse.logging.context.LoggingContextFilter": _CONTEXT_FILTER,
    "synapse.util.logcontext.LoggingContextFilter": _CONTEXT_FILTER,
}
# Those of ours do the same for less.
_ROTATING_FILE = "logging.handlers.RotatingFileHandler"
_OWN_ROTATING_FILE = f"{RotatingLogFile.__module__}.{RotatingLogFile.__qualname__}"
_OWN_FORMATTER = f"{LineFormatter.__module__}.{LineFormatter.__qualname__}"
_REPLACED_BUFFERS = {"synapse.logging.handlers.PeriodicallyFlushingMemoryHandler"}

logger = logging.getLogger(__name__)


class LoggingSetupError(Exception):
    """The logging configuration cannot be used; the message names the file and the reason."""


def setup_logging(
    log_config: str | None,
    process_name: str,
    *,
    log_file: str | None = None,
    level: str = "INFO",
    redirect_standard_io: bool = False,
    beginner: LogBeginner = globalLogBeginner,
) -> None:
    """Send log lines where the operator wants them, and Twisted's along with them.

    `log_config` is a YAML file for `logging.config.dictConfig`; relative file names in it start at
    its folder. Without it lines go to `log_file` (rotated at 100 MB, ten kept), or to standard
    error. `redirect_standard_io` turns what is printed into log lines, for processes in the
    background. Raises LoggingSetupError.
    """
    if log_config is not None:
        _configure_from_file(log_config)
    else:
        _configure_default(log_file, level)
    context_filter = LogContextFilter(process_name)
    for handler in all_handlers():
        handler.addFilter(context_filter)
    if redirect_standard_io:
        # A handler that fails would report it on standard error, and so to itself, without end.
        logging.raiseExceptions = False
    beginner.beginLoggingTo([STDLibLogObserver()], redirectStandardIO=redirect_standard_io)


def _configure_from_file(path: str) -> None:
    try:
        with open(path, encoding="utf-8") as stream:
            settings = yaml.safe_load(stream)
        if not isinstance(settings, dict):
            raise ValueError("it must be a mapping")
        logging.config.dictConfig(_prepare(settings, os.path.dirname(os.path.abspath(path))))
    except (OSError, yaml.YAMLError, ValueError, TypeError, AttributeError, ImportError) as error:
        reason = f"{error} ({error.__cause__})" if error.__cause__ else str(error)
        raise LoggingSetupError(f"{path}: cannot set up logging: {reason}") from error


def _prepare(settings: dict[str, Any], folder: str) -> dict[str, Any]:
    """Relative file names made absolute, classes of other servers replaced."""
    handlers = {}
    for name, handler in (settings.get("handlers") or {}).items():
        prepared = dict(handler)
        if isinstance(prepared.get("filename"), str):
            prepared["filename"] = os.path.join(folder, prepared["filename"])
            _make_folder(prepared["filename"])
        if prepared.get("class") in _REPLACED_BUFFERS:
            # Python's own buffer has no timer, so it must not hold anything back.
            prepared |= {"class": "logging.handlers.MemoryHandler", "capacity": 1}
            prepared.pop("period", None)
        elif prepared.get("class") == _ROTATING_FILE:
            prepared["class"] = _OWN_ROTATING_FILE
        handlers[name] = prepared
    filters = {
        name: {**entry, "()": _REPLACED_FILTERS.get(entry.get("()"), entry.get("()"))}
        if "()" in entry
        else entry
        for name, entry in (settings.get("filters") or {}).items()
    }
    formatters = {
        name: entry if "()" in entry or "class" in entry else {**entry, "class": _OWN_FORMATTER}
        for name, entry in (settings.get("formatters") or {}).items()
    }
    # Loggers exist since the modules were imported; without this they would fall silent.
    defaults = {"version": 1, "disable_existing_loggers": False}
    return {
        **defaults,
        **settings,
        "formatters": formatters,
        "handlers": handlers,
        "filters": filters,
    }


def _configure_default(log_file: str | None, level: str) -> None:
    handler: logging.Handler
    if log_file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        try:
            _make_folder(log_file)
            handler = RotatingLogFile(
                log_file,
                maxBytes=MAX_LOG_FILE_SIZE,
                backupCount=KEPT_LOG_FILES,
                encoding="utf-8",
            )
        except OSError as error:
            raise LoggingSetupError(f"{log_file}: cannot be written: {error.strerror}") from error
    handler.setFormatter(LineFormatter(DEFAULT_FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    # At INFO it tells of each connection and port that it opens; we log what matters of that.
    logging.getLogger("twisted").setLevel(logging.WARNING)


def _make_folder(file: str) -> None:
    os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)


def all_handlers() -> list[logging.Handler]:
    """Every handler of every logger once, with those that buffers write to."""
    found: dict[int, logging.Handler] = {}
    for log in _all_loggers():
        for handler in log.handlers:
            found[id(handler)] = handler
            target = getattr(handler, "target", None)
            if isinstance(target, logging.Handler):
                found[id(target)] = target
    return list(found.values())


def _all_loggers() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    yield root
    for log in list(root.manager.loggerDict.values()):
        if isinstance(log, logging.Logger):
            yield log


def reopen_log_files() -> int:
    """Open all log files anew, after something has renamed them. Returns how many there are.

    A file that cannot be opened goes on being written where it is, and the log says so.
    """
    reopened = 0
    for handler in all_handlers():
        if isinstance(handler, logging.FileHandler):
            try:
                _reopen(handler)
                reopened += 1
            except OSError as error:
                logger.error("Cannot reopen log file %s: %s", handler.baseFilename, error)
    return reopened


def _reopen(handler: logging.FileHandler) -> None:
    handler.acquire()
    try:
        if isinstance(handler, logging.handlers.WatchedFileHandler):
            # It also remembers which file it has open, and must learn of the new one.
            handler.reopenIfNeeded()
            return
        new_stream = handler._open()
        old_stream, handler.stream = handler.stream, new_stream
        # A handler with `delay` has no stream before its first line.
        if old_stream is not None:
            old_stream.close()
    finally:
        handler.release()
