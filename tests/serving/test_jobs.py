"""The line and the process behind it: order, limits, progress, cancel, crash, faults."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from josh_core.errors import Cancelled, ClipError, JobError
from josh_core.progress import Progress
from josh_core.serving.jobs import Job, Jobs, Ticket
from josh_core.serving.runners import LocalRunner, ProcessRunner
from josh_core.settings import Settings
from tests.serving import fake_tasks


def job(name: str, out: Path | None = None, owner: str = "") -> Job:
    return Job(Path(f"{name}.mp4"), Settings(), out or Path("unused"), owner)


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessRunner]:
    runner = ProcessRunner(fake_tasks.by_name, device="cpu", grace=2.0)
    yield runner
    runner.close()


@pytest.fixture
def jobs(process: ProcessRunner) -> Iterator[Jobs]:
    jobs = Jobs([process], limit=2, per_owner=2)
    yield jobs
    jobs.close()


def run(jobs: Jobs, name: str, out: Path | None = None) -> Ticket:
    ticket = jobs.submit(job(name, out))
    until(lambda: ticket.over)
    return ticket


def test_a_job_runs_in_another_process_which_is_kept(jobs: Jobs, tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for out in (first, second):
        ticket = run(jobs, "write_pid", out)
        assert ticket.state == "done" and ticket.error is None
        assert list(ticket.seconds) == ["people", "scene"]
    import os

    assert first.read_text() == second.read_text() != str(os.getpid())


def test_cancel_of_a_running_job_keeps_the_process(jobs: Jobs, process: ProcessRunner, tmp_path: Path) -> None:
    run(jobs, "write_pid", tmp_path / "before")
    ticket = jobs.submit(job("obedient"))
    until(lambda: ticket.fraction > 0)
    jobs.cancel(ticket)
    until(lambda: ticket.over, 10)
    assert ticket.state == "cancelled" and isinstance(ticket.error, Cancelled)
    run(jobs, "write_pid", tmp_path / "after")
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()


def test_a_cancel_reaches_a_job_that_reports_without_pause(jobs: Jobs) -> None:
    ticket = jobs.submit(job("talkative"))
    until(lambda: ticket.fraction > 0)
    jobs.cancel(ticket)
    until(lambda: ticket.over, 10)
    assert ticket.state == "cancelled"


def test_a_job_that_ignores_a_cancel_is_killed(jobs: Jobs, tmp_path: Path) -> None:
    ticket = jobs.submit(job("stubborn"))
    until(lambda: ticket.stage == "people")
    jobs.cancel(ticket)
    until(lambda: ticket.over, 15)
    assert ticket.state == "cancelled"
    assert run(jobs, "write_pid", tmp_path / "next").state == "done"


def test_a_crash_is_a_sentence_and_the_next_job_runs(jobs: Jobs, tmp_path: Path) -> None:
    ticket = run(jobs, "crashing")
    assert ticket.state == "failed" and isinstance(ticket.error, JobError)
    assert "memory" in str(ticket.error)
    assert run(jobs, "write_pid", tmp_path / "next").state == "done"


def test_errors_for_users_pass_and_details_of_faults_do_not(jobs: Jobs) -> None:
    refused = run(jobs, "refusing")
    assert isinstance(refused.error, ClipError) and "choose an MP4" in str(refused.error)
    fault = run(jobs, "faulty")
    assert isinstance(fault.error, JobError) and "secret" not in str(fault.error)


def test_after_want_of_memory_the_next_job_has_a_new_process(jobs: Jobs, tmp_path: Path) -> None:
    """Else one large clip, whose memory is not given back, would fail all that come after it."""
    for name, kept in (("refusing", True), ("hungry", False), ("faulty", False)):
        run(jobs, "write_pid", tmp_path / "before")
        assert run(jobs, name).state == "failed"
        run(jobs, "write_pid", tmp_path / "after")
        assert ((tmp_path / "before").read_text() == (tmp_path / "after").read_text()) is kept


def test_a_job_leaves_nothing_in_memory_to_the_next(tmp_path: Path) -> None:
    """Else clips of 8192 px would leave so much that the next visitor's could not be decoded."""
    runner = ProcessRunner(fake_tasks.by_name, device="cpu")
    jobs = Jobs([runner])
    for name in ("1", "2"):
        assert run(jobs, "untidy", tmp_path / name).state == "done"
    jobs.close()
    assert (tmp_path / "2").read_text() == "0"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not keep to the limit")
def test_a_process_without_memory_is_a_sentence(jobs: Jobs, tmp_path: Path) -> None:
    ticket = run(jobs, "greedy")
    assert isinstance(ticket.error, JobError) and "not enough memory" in str(ticket.error)
    assert run(jobs, "write_pid", tmp_path / "next").state == "done"


def test_a_fault_after_a_job_stops_no_other(tmp_path: Path) -> None:
    def faulty(ticket: Ticket) -> None:
        raise ZeroDivisionError

    jobs = Jobs([LocalRunner(fake_tasks.by_name)], on_end=faulty)
    for k in range(2):
        assert run(jobs, "write_pid", tmp_path / str(k)).state == "done"
    jobs.close()


def test_a_run_that_takes_too_long_is_stopped() -> None:
    runner = ProcessRunner(fake_tasks.by_name, device="cpu", longest=1.0)
    jobs = Jobs([runner])
    ticket = run(jobs, "stubborn")
    jobs.close()
    assert ticket.state == "failed" and "shorter" in str(ticket.error)


def test_the_queue_has_an_order_a_limit_and_shares(jobs: Jobs) -> None:
    running = jobs.submit(job("obedient", owner="a"))
    until(lambda: running.state == "running")
    second = jobs.submit(job("refusing", owner="a"))
    with pytest.raises(JobError, match="already have 2"):
        jobs.submit(job("refusing", owner="a"))
    third = jobs.submit(job("refusing", owner="b"))
    with pytest.raises(JobError, match="full"):
        jobs.submit(job("refusing", owner="c"))
    assert [len(jobs.ahead(t)) for t in (running, second, third)] == [0, 1, 2]
    assert jobs.ahead(third) == [running, second]
    jobs.cancel(second)
    assert second.state == "cancelled" and len(jobs.ahead(third)) == 1
    jobs.cancel_owner("a")
    until(lambda: third.over)
    assert running.state == "cancelled" and isinstance(third.error, ClipError)


@pytest.mark.parametrize("by_use", [True, False])
def test_who_has_used_much_lets_a_newcomer_pass(by_use: bool) -> None:
    """Else six addresses that send slow clips without pause hold everybody up for 8 s and more."""
    held = threading.Event()

    def work(asked: Job, progress: Progress) -> None:
        time.sleep(0.3)
        if asked.client == "now":
            held.wait(60)

    def ask(client: str) -> Ticket:
        return jobs.submit(Job(Path("clip"), Settings(), Path("unused"), client=client))

    jobs = Jobs([LocalRunner(work)], by_use=by_use)
    before = ask("much")
    until(lambda: before.over)
    now = ask("now")
    until(lambda: now.state == "running")
    again, new = ask("much"), ask("new")
    assert jobs.ahead(new) == ([now] if by_use else [now, again])
    held.set()
    jobs.close()


def test_jobs_of_the_page_s_own_process(tmp_path: Path) -> None:
    jobs = Jobs([LocalRunner(fake_tasks.by_name)])
    import os

    assert run(jobs, "write_pid", tmp_path / "here").state == "done"
    assert (tmp_path / "here").read_text() == str(os.getpid())
    ticket = jobs.submit(job("obedient"))
    until(lambda: ticket.fraction > 0)
    jobs.cancel(ticket)
    until(lambda: ticket.over, 10)
    assert ticket.state == "cancelled"
    assert isinstance(run(jobs, "faulty").error, JobError)
    jobs.close()
