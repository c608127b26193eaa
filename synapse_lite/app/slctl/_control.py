"""Starting, stopping and looking at the processes of a fleet."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence

import attrs

from ._fleet import Fleet, Instance
from ._system import Launch, System

START_SECONDS = 60.0
STOP_SECONDS = 30.0
KILL_SECONDS = 5.0
STEP_SECONDS = 0.1
LOG_LINES = 15

Say = Callable[[str, str], None]
"""Called with a kind of message (`good`, `bad`, `detail` of what is bad, `plain`) and its text."""


@attrs.frozen
class State:
    """What was found of a process."""

    instance: Instance
    pid: int | None
    is_healthy: bool

    @property
    def is_good(self) -> bool:
        """Whether it runs and answers."""
        return self.pid is not None and self.is_healthy


class Control:
    """The verbs of slctl. Each returns whether all went well, and says what happened."""

    def __init__(self, system: System, say: Say) -> None:
        self._system = system
        self._say = say

    def start(self, fleet: Fleet) -> bool:
        """Start what does not run: the master first, since workers wait for it."""
        if not self._have_pid_files(fleet.all):
            return False
        if fleet.master is not None and not self._start_together([fleet.master]):
            return False
        return self._start_together(fleet.workers)

    def stop(self, fleet: Fleet) -> bool:
        """Stop what runs: the master last, since workers talk to it while they stop."""
        if not self._have_pid_files(fleet.all):
            return False
        good = self._stop_together(fleet.workers)
        if fleet.master is not None:
            good = self._stop_together([fleet.master]) and good
        return good

    def restart(self, fleet: Fleet) -> bool:
        """Stop, then start."""
        return self.stop(fleet) and self.start(fleet)

    def states(self, fleet: Fleet) -> list[State]:
        """What runs and answers."""
        return [self._state(instance) for instance in fleet.all]

    def _state(self, instance: Instance) -> State:
        pid = self._system.running_pid(instance)
        url = instance.base_url
        # A worker without a port can only be seen to live.
        healthy = pid is not None and (url is None or self._system.is_healthy(url))
        return State(instance, pid, healthy)

    def _have_pid_files(self, instances: Iterable[Instance]) -> bool:
        missing = [instance for instance in instances if instance.pid_file is None]
        for instance in missing:
            option = "pid_file" if instance.process.is_master else "worker_pid_file"
            self._say("bad", f"{instance.files[-1]}: {option} is needed to find the process again")
        return not missing

    def _start_together(self, instances: Sequence[Instance]) -> bool:
        launches: list[tuple[Instance, Launch]] = []
        for instance in instances:
            pid = self._system.running_pid(instance)
            if pid is not None:
                self._say("plain", f"{instance.name} is running already (pid {pid})")
            else:
                launches.append((instance, self._system.launch(instance)))
        deadline = self._system.time() + START_SECONDS
        results = [self._wait_until_up(instance, launch, deadline) for instance, launch in launches]
        return all(results)

    def _wait_until_up(self, instance: Instance, launch: Launch, deadline: float) -> bool:
        while (code := launch.poll()) is None:
            if self._system.time() >= deadline:
                launch.abandon()
                self._failed(instance, f"was not ready after {START_SECONDS:.0f} s", launch)
                return False
            self._system.sleep(STEP_SECONDS)
        if code != 0:
            self._failed(instance, "did not start", launch)
            return False
        while not (state := self._state(instance)).is_good:
            if state.pid is None:
                self._failed(instance, "ended after it had started", launch)
                return False
            if self._system.time() >= deadline:
                self._failed(instance, f"does not answer at {instance.base_url}/health", launch)
                return False
            self._system.sleep(STEP_SECONDS)
        self._say("good", f"{instance.name} is up (pid {state.pid})")
        return True

    def _failed(self, instance: Instance, what: str, launch: Launch) -> None:
        lines = launch.output().splitlines()[-LOG_LINES:]
        log = [line for line in self._system.log_end(instance, LOG_LINES) if line not in set(lines)]
        self._say("bad", f"{instance.name} {what}")
        for line in lines:
            self._say("detail", f"    {line}")
        if log:
            self._say("detail", f"  The end of {', '.join(instance.log_files)}:")
            for line in log:
                self._say("detail", f"    {line}")

    def _stop_together(self, instances: Sequence[Instance]) -> bool:
        stopping: list[tuple[Instance, int]] = []
        for instance in instances:
            pid = self._system.running_pid(instance)
            if pid is None:
                self._say("plain", f"{instance.name} is not running")
                continue
            self._system.signal(pid, signal.SIGTERM)
            stopping.append((instance, pid))
        deadline = self._system.time() + STOP_SECONDS
        results = [self._wait_until_gone(instance, pid, deadline) for instance, pid in stopping]
        return all(results)

    def _wait_until_gone(self, instance: Instance, pid: int, deadline: float) -> bool:
        if self._is_gone_by(instance, pid, deadline):
            self._say("good", f"{instance.name} has stopped")
            return True
        self._say("bad", f"{instance.name} did not stop within {STOP_SECONDS:.0f} s and was killed")
        self._system.signal(pid, signal.SIGKILL)
        return self._is_gone_by(instance, pid, self._system.time() + KILL_SECONDS)

    def _is_gone_by(self, instance: Instance, pid: int, deadline: float) -> bool:
        while self._system.is_running(instance, pid):
            if self._system.time() >= deadline:
                return False
            self._system.sleep(STEP_SECONDS)
        return True
