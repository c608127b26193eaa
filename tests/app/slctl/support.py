"""Configuration files to try slctl on, and a machine that exists only in memory."""

from __future__ import annotations

import os
import signal

import yaml

from synapse_lite.app.slctl._fleet import Instance
from synapse_lite.app.slctl._system import Launch, System


def write_yaml(path: str, **options: object) -> str:
    """Write a configuration file. Returns its absolute path."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(options, file)
    return os.path.abspath(path)


def listener(port: int, *names: str) -> dict[str, object]:
    """An http listener on loopback."""
    return {"port": port, "bind_addresses": ["127.0.0.1"], "resources": [{"names": list(names)}]}


def write_master(folder: str, **options: object) -> str:
    """A master's file. Returns its path."""
    defaults = {
        "server_name": "test",
        "pid_file": "master.pid",
        "listeners": [listener(8008, "client", "health")],
        "registration_shared_secret": "shared",
    }
    return write_yaml(os.path.join(folder, "homeserver.yaml"), **{**defaults, **options})


def write_worker(folder: str, name: str, port: int, kind: str, **options: object) -> str:
    """A worker's file in `workers`. Returns its path."""
    defaults = {
        "worker_app": f"synapse_lite.app.{kind}",
        "worker_name": name,
        "worker_pid_file": f"../{name}.pid",
        "worker_listeners": [listener(port, "client", "health")],
    }
    path = os.path.join(folder, "workers", f"{name}.yaml")
    return write_yaml(path, **{**defaults, **options})


class FakeLaunch(Launch):
    """A start that ends as the machine says."""

    def __init__(self, system: FakeSystem, instance: Instance) -> None:
        self._system = system
        self._instance = instance
        self._ready_at = system.now + system.start_seconds.get(instance.name, 0.5)
        self.is_abandoned = False

    def poll(self) -> int | None:
        if self._system.now < self._ready_at:
            return None
        if self._instance.name in self._system.broken:
            return 1
        self._system.running.setdefault(self._instance.name, self._system.next_pid())
        return 0

    def output(self) -> str:
        return f"{self._instance.name} says\nnot started: no reason\n"

    def abandon(self) -> None:
        self.is_abandoned = True


class FakeSystem(System):
    """`history` is what was done, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.running: dict[str, int] = {}
        self.history: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.deaf: set[str] = set()
        self.silent_urls: set[str] = set()
        self.start_seconds: dict[str, float] = {}
        self.launches: list[FakeLaunch] = []
        self._pid = 100
        self._dying: dict[str, float] = {}

    def next_pid(self) -> int:
        """A pid that was not used before."""
        self._pid += 1
        return self._pid

    def launch(self, instance: Instance) -> Launch:
        self.history.append(("launch", instance.name))
        launch = FakeLaunch(self, instance)
        self.launches.append(launch)
        return launch

    def running_pid(self, instance: Instance) -> int | None:
        return self.running.get(instance.name)

    def is_running(self, instance: Instance, pid: int) -> bool:
        return self.running.get(instance.name) == pid

    def signal(self, pid: int, number: signal.Signals) -> None:
        name = next(name for name, running in self.running.items() if running == pid)
        self.history.append((number.name, name))
        if number is signal.SIGKILL:
            del self.running[name]
        elif name not in self.deaf:
            self._dying[name] = self.now + 0.3

    def is_healthy(self, base_url: str) -> bool:
        return base_url not in self.silent_urls

    def log_end(self, instance: Instance, lines: int) -> list[str]:
        return [f"end of the log of {instance.name}"]

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for name in [name for name, at in self._dying.items() if at <= self.now]:
            self.history.append(("gone", name))
            del self._dying[name]
            self.running.pop(name, None)
