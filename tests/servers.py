"""Private, real audio servers with virtual devices, for tests: PipeWire, JACK and PulseAudio.

Each lives in a folder of its own (home, runtime files, sockets, logs), so that it neither sees nor disturbs
a server of the machine, and leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

RATE_HZ = 48_000

#: The programs that each server cannot do without.
PROGRAMS = {
    "pipewire": ("pipewire", "wireplumber", "dbus-daemon", "pw-jack", "pw-link"),
    "jack": ("jackd", "jack_lsp"),
    "pulse": ("pulseaudio", "pactl"),
}

#: Names of servers and buses of the machine, which children of ours must not find.
_FOREIGN = ("PULSE_SERVER", "PULSE_RUNTIME_PATH", "PIPEWIRE_REMOTE", "DBUS_SESSION_BUS_ADDRESS", "JACK_DEFAULT_SERVER")

_READY_SECONDS = 30.0
_STOP_SECONDS = 3.0


def missing(server: str) -> str | None:
    """A line naming the programs of *server* that are not installed; None when it can be started."""
    absent = [program for program in PROGRAMS[server] if shutil.which(program) is None]
    return f"{server} needs programs that are not installed: {', '.join(absent)}" if absent else None


@dataclass(frozen=True)
class Server:
    """A running server: the environment and the command prefix that make a child process its client.

    *quantum* is the server's period in frames at :data:`RATE_HZ`. The server runs already; it can be stopped by
    *stop* and started again by *start*, at the same address.
    """

    name: str
    env: dict[str, str]
    prefix: tuple[str, ...]
    quantum: int
    folder: Path
    start: Callable[[], None]
    stop: Callable[[], None]

    def wrap(self, command: list[str]) -> list[str]:
        """*command* as a client of this server."""
        return [*self.prefix, *command]

    def run(self, command: list[str], timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run *command* as a client until it ends."""
        return subprocess.run(
            self.wrap(command), env=self.env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )

    def logs(self) -> str:
        """What the daemons have written so far."""
        return "".join(f"== {log.name}\n{log.read_text(errors='replace')[-4000:]}" for log in self.folder.glob("*.log"))


def stop_group(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End *process*, the leader of its own group, and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            # The leader is gone; what is left of its group gets no second chance.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return


def poll(ready: Callable[[], bool], what: str, seconds: float = _READY_SECONDS, every: float = 0.02) -> None:
    """Wait until *ready*, looked at *every* so many seconds; fail with *what* was waited for."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)


class _Daemons:
    """The processes of one server, in a folder that is removed with them."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, command: list[str]) -> None:
        # Should the tests be killed, the kernel takes their servers down too.
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        name = Path(command[0]).name
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [*guard, *command],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append((name, process))

    def succeeds(self, command: list[str], *expected: str) -> bool:
        """Whether *command* ends well and has written all of *expected*; fails when a daemon has died."""
        for name, process in self._running:
            if process.poll() is not None:
                log = (self.folder / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"{name} ended with status {process.returncode}: {log[-2000:]}")
        try:
            done = subprocess.run(
                command, env=self.env, capture_output=True, text=True, timeout=5.0, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0 and all(text in done.stdout for text in expected)

    def stop(self) -> None:
        while self._running:
            stop_group(self._running.pop()[1])


@contextmanager
def _daemons(kind: str) -> Iterator[_Daemons]:
    reason = missing(kind)
    if reason is not None:
        raise RuntimeError(reason)
    # A short path: the address of a socket holds about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix=f"fb-{kind}-"))
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    env = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    env |= {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_STATE_HOME": str(folder / ".state"),
        # Shared on purpose: the host keeps its compiled code there, which takes long to make.
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
        "JACK_NO_START_SERVER": "1",
        "JACK_NO_AUDIO_RESERVATION": "1",
    }
    daemons = _Daemons(folder, env)
    try:
        yield daemons
    finally:
        try:
            daemons.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


_PIPEWIRE_CONF = """
context.properties = {{
    default.clock.rate = {rate}
    default.clock.quantum = {quantum}
    default.clock.min-quantum = {quantum}
    default.clock.max-quantum = {quantum}
}}
context.objects = [
    {{ factory = adapter args = {{
        factory.name = support.null-audio-sink node.name = spk node.description = FakeSpeaker
        media.class = Audio/Sink audio.position = [ MONO ] monitor.channel-volumes = true priority.driver = 2000 }} }}
    {{ factory = adapter args = {{
        factory.name = support.null-audio-sink node.name = mic node.description = FakeMic
        media.class = Audio/Source/Virtual audio.position = [ MONO ] priority.driver = 1500 }} }}
]
"""


@contextmanager
def pipewire(quantum: int = 256) -> Iterator[Server]:
    """PipeWire with a virtual speaker ``FakeSpeaker`` and a virtual microphone ``FakeMic``, both mono.

    To a JACK client the input of ``FakeSpeaker`` is its monitor, the output of ``FakeMic`` its feed. All
    clients and both devices share one clock, which stands still while the machine does: nothing is lost.
    """
    with _daemons("pipewire") as daemons:
        conf = daemons.folder / ".config" / "pipewire" / "pipewire.conf.d"
        conf.mkdir(parents=True)
        (conf / "10-fullband.conf").write_text(_PIPEWIRE_CONF.format(rate=RATE_HZ, quantum=quantum))
        runtime = daemons.folder / "run"
        address = f"unix:path={runtime / 'bus'}"
        daemons.env["DBUS_SESSION_BUS_ADDRESS"] = address

        def start() -> None:
            (runtime / "bus").unlink(missing_ok=True)
            daemons.start(["dbus-daemon", "--session", "--nofork", f"--address={address}"])
            poll((runtime / "bus").is_socket, "the D-Bus session")
            daemons.start(["pipewire"])
            poll(lambda: daemons.succeeds(["pw-link", "--output"]), "PipeWire")
            daemons.start(["wireplumber"])
            ports = "spk:playback", "spk:monitor", "mic:capture"
            poll(
                lambda: daemons.succeeds(["pw-link", "--output", "--input"], *ports),
                "ports of PipeWire's virtual devices",
            )

        start()
        yield Server("pipewire", daemons.env, ("pw-jack",), quantum, daemons.folder, start, daemons.stop)


@contextmanager
def _jack_name() -> Iterator[str]:
    """A server name that nobody else is using, out of a few.

    JACK keeps at most eight servers in a registry, in which one that was killed stays until another comes by the
    same name; ever new names would fill it for good.
    """
    for number in range(4):
        lock = Path(tempfile.gettempdir()) / f"fullband-jack-{number}.lock"
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield f"fullband-{number}"
            return
    raise RuntimeError("four JACK servers of these tests are running already")


@contextmanager
def jack(period: int = 128, *, synchronous: bool = True) -> Iterator[Server]:
    """JACK with its dummy driver: ``system``, two silent inputs and two outputs that lead nowhere.

    A *synchronous* server waits for clients that are late, so that stalls of the machine lose no samples.
    """
    with _jack_name() as name, _daemons("jack") as daemons:
        daemons.env["JACK_DEFAULT_SERVER"] = name
        mode = ["--sync"] if synchronous else []
        driver = ["-d", "dummy", "-r", str(RATE_HZ), "-p", str(period), "-C", "2", "-P", "2"]

        def start() -> None:
            daemons.start(["jackd", "--name", name, "--no-realtime", *mode, *driver])
            poll(lambda: daemons.succeeds(["jack_lsp"], "system:capture_1", "system:playback_1"), "the JACK server")

        start()
        yield Server("jack", daemons.env, (), period, daemons.folder, start, daemons.stop)


#: ``norewinds``: the default sink would swallow the first two seconds of a stream at once.
_PULSE_CONF = """
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-null-sink sink_name=micfeed norewinds=1 rate={rate} channels=1 {description}=FakeMicFeed
load-module module-null-sink sink_name=spk norewinds=1 rate={rate} channels=1 {description}=FakeSpeaker
load-module module-remap-source source_name=mic master=micfeed.monitor source_properties=device.description=FakeMic
set-default-sink spk
set-default-source mic
"""

_ASOUNDRC = """
pcm.!default {{ type pulse server "{server}" }}
ctl.!default {{ type pulse server "{server}" }}
pcm.FakeMic {{ type pulse server "{server}" device mic hint {{ show on description "virtual microphone" }} }}
pcm.FakeMicFeed {{ type pulse server "{server}" device micfeed hint {{ show on description "what it hears" }} }}
pcm.FakeSpeaker {{ type pulse server "{server}" device spk hint {{ show on description "virtual speaker" }} }}
pcm.FakeSpeakerMonitor {{ type pulse server "{server}" device spk.monitor hint {{ show on description "monitor" }} }}
"""


@contextmanager
def pulse() -> Iterator[Server]:
    """PulseAudio, seen through ALSA as ``FakeMic``, its ``FakeMicFeed``, ``FakeSpeaker``, ``FakeSpeakerMonitor``.

    ALSA's plugin for PulseAudio (libasound2-plugins) has to be installed for that. PulseAudio has no period:
    *quantum* is what a client does well to ask for.
    """
    with _daemons("pulse") as daemons:
        socket = daemons.folder / "run" / "pulse.sock"
        server = f"unix:{socket}"
        daemons.env |= {"PULSE_SERVER": server, "PULSE_RUNTIME_PATH": str(daemons.folder / "run" / "pulse")}
        script = daemons.folder / "default.pa"
        description = "sink_properties=device.description"
        script.write_text(_PULSE_CONF.format(socket=socket, rate=RATE_HZ, description=description))
        (daemons.folder / ".asoundrc").write_text(_ASOUNDRC.format(server=server))
        options = ["--exit-idle-time=-1", "--daemonize=no", "--disable-shm=yes", "--use-pid-file=no", "--system=no"]

        def start() -> None:
            daemons.start(["pulseaudio", "-n", *options, "-F", str(script)])
            poll(lambda: daemons.succeeds(["pactl", "list", "short"], "spk.monitor", "micfeed", "mic\t"), "PulseAudio")

        start()
        yield Server("pulse", daemons.env, (), 480, daemons.folder, start, daemons.stop)


SERVERS: dict[str, Callable[[], object]] = {"pipewire": pipewire, "jack": jack, "pulse": pulse}
