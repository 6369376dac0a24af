"""Work on Ray: labels in spite of killed workers, and the page's runs on actors with progress, cancel and crash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from josh_core.errors import ClipError, JobError, SettingsError
from josh_core.serving.engines import engine, here
from josh_core.serving.jobs import Jobs
from josh_core.serving.ray_runner import Cluster, RayRunner, ray_runners
from tests.serving import fake_tasks
from tests.serving.test_jobs import job, run, until


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray on this machine, ended after the tests."""
    module = pytest.importorskip("ray", reason="ray is not installed (the extra josh-space[ray])")
    yield module
    module.shutdown()


def test_engines() -> None:
    assert engine("here") is here
    with pytest.raises(SettingsError, match="no engine"):
        engine("slurm")


def test_ray_finishes_when_a_worker_is_killed(tmp_path: Path, ray: Any) -> None:
    from josh_core.serving.engines import Ray

    clips = [tmp_path / f"{name}.mp4" for name in "abc"]

    def work(path: Path) -> str | None:
        import os

        tried = path.with_suffix(".tried")
        if path.stem == "b" and not tried.exists():
            tried.touch()
            os._exit(1)  # the worker dies in the middle
        done = path.with_suffix(".done")
        with done.open("x"):  # fails if made twice
            pass
        return None

    results = dict(Ray(cpus=1)(work, clips))
    assert results == dict.fromkeys(clips)
    assert len(list(tmp_path.glob("*.done"))) == 3 and (tmp_path / "b.tried").exists()


@pytest.fixture(scope="module")
def runner(ray: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayRunner]:
    runner = RayRunner(fake_tasks.by_name, Cluster(None, tmp_path_factory.mktemp("store")), grace=2.0)
    yield runner
    runner.close()


def test_jobs_of_the_page_run_on_an_actor_with_progress(runner: RayRunner, tmp_path: Path) -> None:
    jobs = Jobs([runner])
    running = jobs.submit(job("obedient"))
    until(lambda: running.fraction > 0, 60)
    assert running.stage == "people"
    jobs.cancel(running)
    until(lambda: running.over, 10)
    assert running.state == "cancelled"
    assert run(jobs, "write_pid", tmp_path / "first").state == "done"
    refused = run(jobs, "refusing")
    assert isinstance(refused.error, ClipError) and "choose an MP4" in str(refused.error)
    assert isinstance(run(jobs, "faulty").error, JobError)
    run(jobs, "write_pid", tmp_path / "second")
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text()  # models stay warm


def test_an_actor_that_dies_or_ignores_a_cancel_is_replaced(runner: RayRunner, tmp_path: Path) -> None:
    jobs = Jobs([runner])
    crashed = run(jobs, "crashing")
    assert isinstance(crashed.error, JobError) and "memory" in str(crashed.error)
    stubborn = jobs.submit(job("stubborn"))
    until(lambda: stubborn.stage == "people", 60)
    jobs.cancel(stubborn)
    until(lambda: stubborn.over, 20)
    assert stubborn.state == "cancelled"
    assert run(jobs, "write_pid", tmp_path / "next").state == "done"


def test_a_store_that_the_cluster_cannot_see_is_reported(runner: RayRunner, tmp_path: Path, monkeypatch) -> None:
    from josh_core.serving import ray_runner

    runner.close()  # makes room for another
    monkeypatch.setattr(ray_runner._Actor, "sees", lambda self, path: False)
    (unseen,) = ray_runners(fake_tasks.by_name, None, tmp_path, 1)
    with pytest.raises(SettingsError, match="JOSH_STORE"):
        unseen.warm()
    assert not list(tmp_path.iterdir())


def test_a_missing_cluster_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed (the extra josh-space[ray])")
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        with pytest.raises(SettingsError, match="No Ray cluster answers"):
            RayRunner(fake_tasks.by_name, Cluster(address, tmp_path))
