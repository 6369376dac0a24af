"""A page under mixed traffic: `python -m benchmarks.soak --minutes 10 --visitors 200`; stops by itself.

It starts the real page on loopback with a store of its own. At any moment `--together` visitors are there: they look
at the page, open an example's files, bring clips, run a second of one in `fast`, cancel, share, or hang up in the
middle. Now and then a worker is killed. It prints how long the page took, what ran, memory and disk after the first
minute and at the end, and which shared results are lost. The exit code is 1 when a shared result is lost, a refusal
had no sentence, a visitor's request failed, no run was finished, or memory grew by over 10 %.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil

from josh_core.page.serve import RUN_NICENESS
from josh_core.serving.disk import size_of
from tests.page.caller import Tab

ROOT = Path(__file__).resolve().parents[1]
CLIP = ROOT / "examples" / "juggle" / "clip.mp4"
RUN = re.compile(r"run=([\w-]{16,})")
PROBLEM = re.compile(r"j-bad[^>]*>(?:<[^>]*>)*([^<]*)")
WARM = 60.0  # s until memory is first measured
KILL_EVERY = 45.0  # s between two killed workers
ACTIONS = {"look": 6, "example": 4, "upload": 3, "run": 3, "cancel": 2, "leave": 2}  # relative frequencies


@dataclass
class Tally:
    """Counts and times; written by all visitors, each in a thread."""

    page: list[float] = field(default_factory=list)  # s, answers of the page itself
    told: list[float] = field(default_factory=list)  # s from the kill of a worker to the sentence
    counts: Counter[str] = field(default_factory=Counter)
    shared: list[str] = field(default_factory=list)
    killed: float = 0.0  # time.monotonic() of the last kill
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str) -> None:
        """Count."""
        with self.lock:
            self.counts[what] += 1


class Soak:
    """The page and its visitors."""

    def __init__(self, store: Path, seconds: float) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url, self.store = f"http://127.0.0.1:{self.port}/", store
        self.end = time.monotonic() + seconds
        self.tally = Tally()
        # All visitors come from one address here, which elsewhere would be refused.
        told = {"JOSH_STORE": store, "JOSH_PORT": self.port, "JOSH_PER_ADDRESS": 100, "JOSH_STORE_GB": 2}
        environment = os.environ | {name: str(value) for name, value in told.items()}
        self.log = store.with_name("server.log").open("wb")
        command = [sys.executable, "app.py"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=self.log, stderr=self.log)

    def wait(self) -> None:
        """Until the page answers."""
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(httpx.HTTPError):
                if httpx.get(self.url + "healthz", timeout=5).status_code == 200:
                    return
            time.sleep(0.3)
        raise SystemExit("the page did not start; see " + self.log.name)

    def visit(self, seed: int) -> None:
        """One visitor, who does one of ACTIONS."""
        if time.monotonic() > self.end:
            return
        chance = random.Random(seed)
        deed = chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        self.tally.add(deed)
        tab = None
        try:
            tab = Tab(self.url)  # before the clock runs: a client takes a moment to be made
            begin = time.monotonic()
            tab.http.get("/").raise_for_status()
            with self.tally.lock:
                self.tally.page.append(time.monotonic() - begin)
            if deed != "look":
                getattr(self, f"_{deed}")(tab, chance)
        except Exception as error:
            self.tally.add(f"failed: {deed}: {type(error).__name__}")
        finally:
            if tab is not None:
                tab.close()

    def _example(self, tab: Tab, chance: random.Random) -> None:
        name = chance.choice(["juggle", "squats", "log_sit", "beam_pan"])
        tab.http.get("/", params={"example": name}).raise_for_status()
        path = ROOT / "examples" / name / "result" / "fast" / "result.glb"
        if path.is_file():
            tab.http.get(f"/gradio_api/file={path}").raise_for_status()

    def _upload(self, tab: Tab, chance: random.Random) -> None:
        clip = CLIP.read_bytes() + chance.randbytes(16)  # a clip that was never uploaded before
        if not tab.take(tab.upload(clip), seconds=60)["success"]:
            self.tally.add("refused: upload")

    def _run(self, tab: Tab, chance: random.Random) -> None:
        self._upload(tab, chance)
        self._start(tab)
        said = tab.listen(seconds=600)
        text = json.dumps(said)
        if "ended unexpectedly" in text:
            self.tally.add("runs whose worker was killed")
            with self.tally.lock:
                self.tally.told.append(time.monotonic() - self.tally.killed)
        elif not said["success"] or "j-bad" in text:  # an error, or a card that says what went wrong
            sentence = said["output"].get("error") or "".join(PROBLEM.findall(text))
            self.tally.add("runs refused: " + (str(sentence)[:50] or "WITHOUT A SENTENCE"))
        elif not RUN.search(text):
            self.tally.add("failed: run: no result and no sentence")
        else:
            self.tally.add("runs finished")
            if chance.random() < 0.5 and tab.call("j-share", "click", ["", self.url, "", ""])["success"]:
                with self.tally.lock:
                    self.tally.shared.append(RUN.findall(text)[0])

    @staticmethod
    def _start(tab: Tab) -> None:
        options = ["fast", 0, 0, 0, "auto", "auto", 0]
        tab.join("j-run", "click", [{"start": 0.0, "length": 1.0}, None, None, *options])

    def _cancel(self, tab: Tab, chance: random.Random) -> None:
        self._upload(tab, chance)
        self._start(tab)
        time.sleep(chance.uniform(0, 3))
        tab.join("j-cancel", "click", [])
        tab.listen(seconds=120)

    def _leave(self, tab: Tab, chance: random.Random) -> None:
        self._upload(tab, chance)
        self._start(tab)

    def kill_workers(self) -> None:
        """Kill the process of a run regularly, as the system does without memory."""
        while time.monotonic() < self.end - KILL_EVERY:
            time.sleep(KILL_EVERY)
            if not httpx.get(self.url + "healthz", timeout=60).json()["queue"]["running"]:
                continue
            own = os.getpriority(os.PRIO_PROCESS, self.process.pid)
            for child in psutil.Process(self.process.pid).children():
                if child.nice() == own + RUN_NICENESS:
                    with self.tally.lock:
                        self.tally.killed = time.monotonic()
                    child.kill()
                    self.tally.add("workers killed")

    def weight(self) -> tuple[int, int]:
        """Bytes of memory of the page's own process, bytes in the store."""
        memory = psutil.Process(self.process.pid).memory_info().rss
        return memory, size_of(self.store)

    def lost(self) -> list[str]:
        """Shared results whose files the page does not serve."""
        places = {run: self.store / "runs" / run / "fast" / "result.glb" for run in self.tally.shared}
        return [r for r, p in places.items() if httpx.get(f"{self.url}gradio_api/file={p}").status_code != 200]

    def close(self) -> None:
        """End the page."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def report(soak: Soak, early: tuple[int, int]) -> bool:
    """Print the report. Returns whether all requirements are met."""
    memory, disk = soak.weight()
    tally, lost = soak.tally, soak.lost()
    p50, p95 = np.percentile(tally.page, [50, 95]) * 1000
    print(f"page: {len(tally.page)} answers, p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    for what, count in sorted(tally.counts.items()):
        print(f"  {what}: {count}")
    if tally.told:
        print(f"killed worker to sentence: at most {max(tally.told):.1f} s, {len(tally.told)} times")
    print(f"memory of the page: {early[0] / 1e6:.0f} MB after a minute, {memory / 1e6:.0f} MB at the end")
    print(f"disk: {early[1] / 1e6:.0f} MB after a minute, {disk / 1e6:.0f} MB at the end")
    print(f"shared results: {len(tally.shared)}, lost: {len(lost)} {lost or ''}")
    sound = not any("WITHOUT" in what or what.startswith("failed") for what in tally.counts)
    print(f"cores: {os.cpu_count()}, load over the last 5 minutes: {os.getloadavg()[1]:.1f}")
    return not lost and memory <= 1.1 * early[0] and sound and tally.counts["runs finished"] > 0


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="more than 1: the first one is for warming up")
    parser.add_argument("--visitors", type=int, default=200, help="how many come, spread over the time")
    parser.add_argument("--together", type=int, default=20, help="how many are there at a time, at most")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # ends the page too
    if options.minutes < 1.5:
        parser.error("memory is compared with that after a minute: take at least 1.5 minutes")
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(folder / "store", 60 * options.minutes)
    early = (0, 0)
    try:
        soak.wait()
        killer = threading.Thread(target=soak.kill_workers, daemon=True)
        killer.start()
        with ThreadPoolExecutor(options.together) as pool:
            for seed in range(options.visitors):
                pool.submit(soak.visit, seed)
                time.sleep(60 * options.minutes / options.visitors)
                if not early[0] and time.monotonic() > soak.end - 60 * options.minutes + WARM:
                    early = soak.weight()
        good = report(soak, early if early[0] else soak.weight())
    finally:
        soak.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
