"""Runs chat, console and drainer together: starts, watches, restarts and stops them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from types import FrameType

from console.binding import narrowed, taken
from console.launch import HEALTH, command, environment
from console.senders import addresses
from evalsets.release.canary import watch_forever
from evalsets.sorting import Sorter
from pipeline import build, shelving
from pipeline.configuration.data_folder import DataFolder
from pipeline.errors import ConfigurationError
from pipeline.prompts.shelves import PromptShelf
from pipeline.settings import Settings
from traces.store import drain_forever

START_SECONDS = 180
STOP_SECONDS = 30
PATIENCE_SECONDS = 60  # after that a chat without its knowledge base is better than none
ALERT_SECONDS = 60.0
UNHEARD_SECONDS = 300.0  # between checks of alerts while nobody is told: each costs a second or two of CPU
RESTARTS = 3  # within a minute; after that the whole stops


@dataclass(slots=True)
class Child:
    """A process under supervision and how to see that it answers."""

    name: str
    arguments: list[str]
    env: dict[str, str]
    health: str  # answers 200 when there is nothing left to wait for
    alive: str  # answers 200 as soon as the process serves
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    ready: bool = False

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.arguments,
            env=self.env,
            stdout=subprocess.DEVNULL,  # Streamlit's greeting; what is wrong comes on stderr
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self.starts += 1

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self, *, patient: bool) -> bool:
        """Tell whether it is ready, or, when `patient` is over, at least serves."""
        try:
            with urllib.request.urlopen(self.health if patient else self.alive, timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False


def supervise(settings: Settings) -> int:
    """Run everything until SIGINT or SIGTERM; return the exit code. Prints both addresses when ready."""
    build.check(settings)
    _check_ports(settings)
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    children = _children(settings)
    drainer = threading.Thread(target=_drain, args=(settings, stop), name="drainer", daemon=True)
    drainer.start()
    threading.Thread(target=_canaries, args=(settings, stop), name="canaries", daemon=True).start()
    pause = alert_seconds(settings)
    threading.Thread(target=_alert, args=(stop, pause), name="alerts", daemon=True).start()
    print("Starting Answerdeck …", flush=True)
    for child in children:
        child.start()
    try:
        return _watch(children, stop, settings)
    finally:
        stop.set()
        _stop(children)
        drainer.join(timeout=STOP_SECONDS)
        print("Stopped.", flush=True)


def _children(settings: Settings) -> list[Child]:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env |= {"OPENBLAS_NUM_THREADS": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    port, console_port = settings.server.port, settings.server.console_port
    serve = [sys.executable, "-m", "console.cli", "serve", "--port", str(port)]
    console_env = environment(settings) | {"OPENBLAS_NUM_THREADS": "1"}
    console_env.pop("PYTHONDONTWRITEBYTECODE", None)
    return [
        Child("chat", serve, env, f"http://127.0.0.1:{port}/readyz", f"http://127.0.0.1:{port}/healthz"),
        Child(
            "console",
            command(settings),
            console_env,
            f"http://127.0.0.1:{console_port}{HEALTH}",
            f"http://127.0.0.1:{console_port}{HEALTH}",
        ),
    ]


def _drain(settings: Settings, stop: threading.Event) -> None:
    """Move the journal into the store until told to stop, and once more after that."""
    store = build.store(settings)
    days, tend = settings.traces, Sorter(store).tend
    drain_forever(store, stop, payload_days=days.payload_days, after=tend, turn_days=days.turn_days)


def _run_changed(settings: Settings) -> None:
    """Run the evalsets again, aside and gently, when what answers changed since their last run."""
    command = ["nice", "-n", "10", sys.executable, "-m", "console.cli", "eval", "changed", "--yes", "--json"]
    env = {**os.environ, "ANSWERDECK_DATA_DIR": str(settings.data_dir.absolute())}
    subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def _canaries(settings: Settings, stop: threading.Event) -> None:
    """Take back a canary that does worse than the version in force, until told to stop."""
    copies = shelving.mirror(settings)

    def shelves() -> list[tuple[str, PromptShelf]]:
        places = DataFolder(settings.data_dir).everywhere()
        return [(whose, shelving.shelf(settings, copies, whose)) for whose, _ in places]

    watch_forever(shelves, build.store(settings).read, stop)


def alert_seconds(settings: Settings) -> float:
    """Return how long to wait between two checks of the alerts: longer while nobody is told."""
    return ALERT_SECONDS if addresses(settings) else UNHEARD_SECONDS


def _alert(stop: threading.Event, pause: float) -> None:
    """Look for alerts again and again, in a process of its own, and tell whoever is to be told."""
    command = [sys.executable, "-m", "console.cli", "alerts", "check", "--post"]
    while not stop.wait(pause):
        try:
            subprocess.run(
                command,
                stdout=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                timeout=ALERT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print("The check for alerts took too long; trying again.", file=sys.stderr, flush=True)


def _watch(children: list[Child], stop: threading.Event, settings: Settings) -> int:
    began = time.monotonic()
    announced = False
    while not stop.wait(0.2):
        for child in children:
            if not child.running and not _restart(child):
                return child.process.returncode if child.process else 1
            patient = time.monotonic() - began < PATIENCE_SECONDS
            child.ready = child.ready or child.answers(patient=patient)
        if not announced and all(child.ready for child in children):
            announced = True
            print(f"Ready after {time.monotonic() - began:.1f} s.", flush=True)
            print(f"  Chat and API  http://127.0.0.1:{settings.server.port}", flush=True)
            print(f"  Console       http://127.0.0.1:{settings.server.console_port}", flush=True)
            print("Ctrl-C stops everything.", flush=True)
            if settings.gate.after_deployment:
                _run_changed(settings)
        if not announced and time.monotonic() - began > START_SECONDS:
            print(f"Not ready after {START_SECONDS} s; see the messages above.", file=sys.stderr)
            return 1
    return 0


def _restart(child: Child) -> bool:
    code = child.process.returncode if child.process else None
    if code == 2 or child.starts > RESTARTS:
        print(f"The {child.name} ended with code {code}; stopping.", file=sys.stderr, flush=True)
        return False
    print(f"The {child.name} ended with code {code}; starting it again.", file=sys.stderr, flush=True)
    time.sleep(min(child.starts, 5))
    child.start()
    return True


def _stop(children: list[Child]) -> None:
    for child in children:
        if child.running and child.process is not None:
            child.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def _check_ports(settings: Settings) -> None:
    host = settings.server.host
    ports = {"server.port": settings.server.port, "server.console_port": settings.server.console_port}
    problems = narrowed(settings)
    if len(set(ports.values())) < len(ports):
        problems.append(f"server.console_port: chat and console cannot share port {settings.server.port}")
    problems += taken(host, ports)
    if problems:
        raise ConfigurationError(problems)


def _die_with_parent() -> None:
    """Ask Linux to end the child when the supervisor dies, kill -9 included."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
