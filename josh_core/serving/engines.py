"""Engines that process many clips: in this process, or on Ray (one machine or a cluster), one task per clip."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from josh_core.errors import SettingsError
from josh_core.types import Engine, Task

# Chosen by hand:
RETRIES = 2  # of a task whose worker died
CONNECT_SECONDS = 5.0  # s to wait for a connection to the cluster
CPUS = 2.0  # for one clip: the machine on which all times in README.md were measured has two


def here(task: Task, paths: list[Path]) -> Iterator[tuple[Path, str | None]]:
    """Process the clips one after the other in this process."""
    for path in paths:
        yield path, task(path)


class Ray:
    """Ray core. address: of a running cluster ("auto", "ray://host:10001"), None starts one on this machine."""

    def __init__(self, address: str | None = None, cpus: float = CPUS, gpus: float = 0.0) -> None:
        self.address, self.cpus, self.gpus = address, cpus, gpus

    def __call__(self, task: Task, paths: list[Path]) -> Iterator[tuple[Path, str | None]]:
        """Results as they come; a clip whose worker keeps dying is a failure, not the end. Raises SettingsError."""
        ray = connect(self.address)
        remote = ray.remote(max_retries=RETRIES, num_cpus=self.cpus, num_gpus=self.gpus)(task_of(task))
        waiting = {remote.remote(path): path for path in paths}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            path = waiting.pop(done[0])
            try:
                yield path, ray.get(done[0])
            except ray.exceptions.RayError as error:
                yield path, f"The worker of this clip failed: {type(error).__name__}."


def task_of(task: Task) -> Task:
    """A plain function around a task, since Ray takes functions only (not partial objects)."""

    def run(path: Path) -> str | None:
        return task(path)

    return run


def engine(name: str, address: str | None = None) -> Engine:
    """The engine of a name, "here" or "ray". Raises SettingsError for any other."""
    if name == "here":
        return here
    if name == "ray":
        import_ray()
        return Ray(address)
    raise SettingsError(f"There is no engine {name!r}; choose here or ray.")


def connect(address: str | None) -> Any:
    """Ray, connected to a running cluster ("auto", "ray://host:10001") or to one begun here. Raises SettingsError."""
    ray = import_ray()
    if address is not None and not _answers(address):
        raise SettingsError(f"No Ray cluster answers at {address!r}; start it, or give its right address.")
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SettingsError(f"The Ray cluster at {address!r} does not answer ({reason}).") from None
    return ray


def _answers(address: str) -> bool:
    """Whether HOST:PORT accepts connections, since Ray itself tries for minutes; True for addresses without a port."""
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname is None or place.port is None:
        return True
    try:
        socket.create_connection((place.hostname, place.port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def import_ray() -> Any:
    """The ray module, an optional dependency. Raises SettingsError if it is not installed."""
    try:
        import ray
    except ImportError:
        raise SettingsError("Ray is not installed; pip install 'josh-space[ray]' brings it.") from None
    return ray
