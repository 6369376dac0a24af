"""Starts the page: what `python app.py` and `josh app` do. config.py lists the environment variables."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys

# Read by these libraries when they are imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from josh_core.errors import JoshError
from josh_core.page.config import EXAMPLES, Config
from josh_core.page.machine.health import JOB_LOG
from josh_core.page.page import Page
from josh_core.page.protection.upload_checks import check_runners
from josh_core.page.service import PageService
from josh_core.serving import tasks
from josh_core.serving.ray_runner import ray_runners
from josh_core.serving.runners import LocalRunner, ProcessRunner

# Chosen by hand, except where a measurement or a source is given.
RUN_NICENESS = 5  # by which the priority of runs is below the page's; files made on demand have a lower one still


def open_service(config: Config) -> PageService:
    """The service with its runners: one process per device, or this one on ZeroGPU."""
    if config.in_process:
        tasks.prepare()  # ZeroGPU wants the networks in this process, on their device, before the first visitor
        return PageService(config, [LocalRunner(tasks.do)], LocalRunner(tasks.do), check_runners(), EXAMPLES)
    longest = 60 * config.max_minutes
    if config.engine:
        store = config.store.resolve()
        store.mkdir(parents=True, exist_ok=True)
        address = None if config.engine == "ray" else config.engine
        spread = ray_runners(tasks.do, address, store, config.lanes, prepare=tasks.prepare, longest=longest)
        spread[0].warm()  # says at once what is wrong with the cluster
        return PageService(config, spread, _file_runner(longest), check_runners(), EXAMPLES)
    devices = [device.strip() for device in config.devices.split(",")]
    runners = [
        ProcessRunner(tasks.do, device, longest=longest, prepare=tasks.prepare, niceness=RUN_NICENESS)
        for device in devices
    ]
    for runner in runners:
        runner.warm()
    return PageService(config, runners, _file_runner(longest), check_runners(), EXAMPLES)


def _file_runner(longest: float) -> ProcessRunner:
    """Makes files on demand, here whatever runs elsewhere."""
    return ProcessRunner(tasks.do, "cpu", longest=longest, niceness=2 * RUN_NICENESS)


def log_jobs() -> None:
    """One line of JSON for each job that is over, to where the other messages go."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    JOB_LOG.addHandler(handler)
    JOB_LOG.setLevel(logging.INFO)
    JOB_LOG.propagate = False


def log_crashes() -> None:
    """From now on a crash of a library's native code leaves a word in the log."""
    if not faulthandler.is_enabled():
        faulthandler.enable()


def check_port(port: int) -> None:
    """Raises JoshError if another program has the port; 0 stands for any that is free."""
    with socket.socket() as probe:
        if sys.platform != "win32":  # there this option would let two programs share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise JoshError(f"Port {port} cannot be used ({error}); set JOSH_PORT to another one.") from None


def main() -> int:
    """Serve the page until it is stopped."""
    log_jobs()
    log_crashes()
    try:
        config = Config.from_environment()
        check_port(config.port)
        service = open_service(config)
    except JoshError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  the only word to whoever starts the program
        return 2
    try:
        Page(service).launch()
    finally:
        service.close()
    return 0
