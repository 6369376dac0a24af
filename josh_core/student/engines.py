"""Where many clips are worked on: in this process, or on Ray (one machine or a cluster), one task a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from josh_core.errors import SettingsError

Task = Callable[[Path], str | None]  # returns why it failed, in one sentence
Engine = Callable[[Task, list[Path]], Iterator[tuple[Path, str | None]]]
RETRIES = 2  # of a task whose worker died
CPUS = 2.0  # of one task: the solver and the landmark network share them


def here(task: Task, paths: list[Path]) -> Iterator[tuple[Path, str | None]]:
    """One after the other in this process."""
    for path in paths:
        yield path, task(path)


class Ray:
    """Ray core. address: of a running cluster ("auto", "ray://host:10001"), None starts one on this machine."""

    def __init__(self, address: str | None = None, cpus: float = CPUS, gpus: float = 0.0) -> None:
        self.address, self.cpus, self.gpus = address, cpus, gpus

    def __call__(self, task: Task, paths: list[Path]) -> Iterator[tuple[Path, str | None]]:
        """Results as they come; a clip whose worker keeps dying is a failure, not the end. Raises SettingsError."""
        ray = _import_ray()
        ray.init(address=self.address, ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
        remote = ray.remote(max_retries=RETRIES, num_cpus=self.cpus, num_gpus=self.gpus)(task_of(task))
        waiting = {remote.remote(path): path for path in paths}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            path = waiting.pop(done[0])
            try:
                yield path, ray.get(done[0])
            except ray.exceptions.RayError as error:
                yield path, f"The worker of this clip failed: {type(error).__name__}."


def task_of(task: Task) -> Callable[[Path], str | None]:
    """A plain function around a task, since Ray takes functions only (not partial objects)."""

    def run(path: Path) -> str | None:
        return task(path)

    return run


def engine(name: str, address: str | None = None) -> Engine:
    """The engine of a name, "here" or "ray". Raises SettingsError for any other."""
    if name == "here":
        return here
    if name == "ray":
        _import_ray()
        return Ray(address)
    raise SettingsError(f"There is no engine {name!r}; choose here or ray.")


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise SettingsError("Ray is not installed; pip install 'josh-space[ray]' brings it.") from None
    return ray
