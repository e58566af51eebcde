"""LADSPA plugins: real ones run as their files say, bad ones are refused in one line and crash nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.errors import FullbandError
from realtime.paths import find_model
from realtime.plugins.ladspa.catalogue import all_plugins, find_plugin, folders
from realtime.plugins.ladspa.descriptor import key_of, unit_of
from realtime.plugins.ladspa.stage import LadspaStage, parameters_of, wiring
from realtime.plugins.spec import resolve
from tests.realtime.playing import play, tone

STREAM = StreamFormat(48_000, 48_000, 128)

#: A plugin for every purpose of these tests, its behaviour chosen by NAME when it is compiled.
SOURCE = r"""
#include <ladspa.h>
#include <stdlib.h>
#include <math.h>
typedef struct { LADSPA_Data *in, *out, *gain, *mode, *latency, *shown; float held[48]; int at, active; } Plugin;
static float shared[48];
static LADSPA_Handle make(const LADSPA_Descriptor *d, unsigned long rate) {
  if (BEHAVIOUR == 4) return 0;
  return calloc(1, sizeof(Plugin));
}
static void connect(LADSPA_Handle h, unsigned long port, LADSPA_Data *p) { ((LADSPA_Data **)h)[port] = p; }
static void activate(LADSPA_Handle h) { ((Plugin *)h)->active++; }
static void deactivate(LADSPA_Handle h) { Plugin *p = h; p->active--; }
static void run(LADSPA_Handle h, unsigned long n) {
  Plugin *p = h;
  if (BEHAVIOUR == 2) *(volatile int *)0 = 0;
  float *held = BEHAVIOUR == 5 ? shared : p->held;
  for (unsigned long i = 0; i < n; i++) {
    float y = held[p->at];
    held[p->at] = p->in[i];
    p->at = (p->at + 1) % 48;
    p->out[i] = BEHAVIOUR == 3 ? NAN : *p->gain * (*p->mode > 0 ? -y : y);
  }
  *p->latency = 48;
  *p->shown = p->active;
}
static void cleanup(LADSPA_Handle h) { free(h); }
static const LADSPA_PortDescriptor kinds[] = {
  LADSPA_PORT_INPUT | LADSPA_PORT_AUDIO, LADSPA_PORT_OUTPUT | LADSPA_PORT_AUDIO,
  LADSPA_PORT_INPUT | LADSPA_PORT_CONTROL, LADSPA_PORT_INPUT | LADSPA_PORT_CONTROL,
  LADSPA_PORT_OUTPUT | LADSPA_PORT_CONTROL, LADSPA_PORT_OUTPUT | LADSPA_PORT_CONTROL };
static const char *const names[] = { "Input", "Output", "Gain (x)", "Invert", "latency", "Active times" };
static const LADSPA_PortRangeHint hints[] = { {0}, {0},
  { LADSPA_HINT_BOUNDED_BELOW | LADSPA_HINT_BOUNDED_ABOVE | LADSPA_HINT_DEFAULT_1, 0, 4 },
  { LADSPA_HINT_TOGGLED | LADSPA_HINT_DEFAULT_0 }, {0}, {0} };
static const LADSPA_Descriptor plugin = { 1, "delay48", LADSPA_PROPERTY_HARD_RT_CAPABLE, "Delay", "tests", "CC0", 6,
  kinds, names, hints, 0, make, connect, activate, run, 0, 0, deactivate, cleanup };
__attribute__((constructor)) static void load(void) { if (BEHAVIOUR == 1) abort(); }
const LADSPA_Descriptor *ladspa_descriptor(unsigned long i) { return i == 0 ? &plugin : 0; }
"""
BEHAVIOURS = {"good": 0, "dies_loading": 1, "dies_running": 2, "nan": 3, "unmade": 4, "sharing": 5}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin for every behaviour, and one file that is none."""
    folder = tmp_path_factory.mktemp("ladspa")
    if shutil.which("gcc") is None or not Path("/usr/include/ladspa.h").exists():
        pytest.skip("needs gcc and ladspa.h: apt install gcc ladspa-sdk")
    (folder / "plugin.c").write_text(SOURCE)
    for name, behaviour in BEHAVIOURS.items():
        command = ["gcc", "-shared", "-fPIC", f"-DBEHAVIOUR={behaviour}", "plugin.c", "-o", f"{name}.so"]
        subprocess.run(command, cwd=folder, check=True)
    (folder / "text.so").write_text("no library")
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as LADSPA_PATH says."""
    monkeypatch.setenv("LADSPA_PATH", f"{made}:/nowhere")
    return made


def _installed(name: str) -> str:
    """*name* where its package is installed; else the test is left out."""
    if not any((folder / name.partition(":")[0]).is_file() for folder in folders()):
        pytest.skip("needs real plugins: apt install swh-plugins cmt")
    return name


def _settings(plugin: str, **values: Any) -> EngineSettings:
    return EngineSettings(None, chain=resolve([{"plugin": plugin, **values}]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dies_loading.so:delay48", ["crashed (SIGABRT)", "being loaded"]),
        ("dies_running.so:delay48", ["crashed (SIGSEGV)", "first run"]),
        ("nan.so:delay48", ["NaN"]),
        ("unmade.so:delay48", ["could not be made"]),
        ("sharing.so:delay48", ["its instances disturb each other"]),
        ("text.so:delay48", ["cannot be loaded"]),
        ("goood.so:delay48", ["no LADSPA file", "did you mean 'good.so'"]),
        ("good.so:delay", ["no plugin 'delay'", "did you mean 'delay48'"]),
        ("/nowhere/at/all.so:x", ["no LADSPA file /nowhere/at/all.so"]),
    ],
)
def test_what_is_wrong_with_a_plugin_is_told_in_one_line(here: Path, name: str, words: list[str]) -> None:
    with pytest.raises(FullbandError) as caught:
        resolve([{"plugin": "gain"}, {"plugin": name}])
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in ["stage 2 of the chain", *words])


def test_a_catalogue_leaves_out_what_crashes_and_goes_on(here: Path) -> None:
    found, refused = all_plugins()
    assert {Path(facts.path).stem for facts in found} == {"good", "dies_running", "nan", "unmade", "sharing"}
    assert {Path(path).stem for path in refused} == {"dies_loading", "text"}


def test_a_plugin_is_delayed_as_its_latency_port_says_and_doubled_for_two_channels(here: Path) -> None:
    rng = np.random.default_rng(0)
    x = (0.1 * rng.standard_normal((2, 9_600))).astype(np.float32)
    from realtime.backends.wavfile import FileStream, process

    stream = FileStream(2, 48_000, _settings("good.so:delay48", gain_x=2.0))
    assert dict(stream.engine.latency.stages)["delay48"] == 1.0
    heard = np.concatenate(list(process([x], stream)), axis=1)
    meters = stream.engine.describe_chain()[0]["meters"]
    stream.close()
    np.testing.assert_allclose(heard, 2 * x, atol=1e-6)
    assert meters == {"latency": 48.0, "active_times": 1.0}


def test_the_only_plugin_of_a_file_needs_no_label(here: Path) -> None:
    assert find_plugin("good.so").label == "delay48"


def test_a_switch_is_thrown_by_a_fade_to_instances_that_have_it(here: Path) -> None:
    x = tone(1.5, level=0.3)
    with Engine(STREAM, _settings("good.so:delay48")) as engine:
        heard = [play(engine, x[:24_064])]
        engine.set_chain(resolve([{"plugin": "good.so:delay48", "invert": True}]))
        heard.append(play(engine, x[24_064:]))
        delay = engine.delay_samples
    whole = np.concatenate(heard)
    late = np.arange(len(whole) - 9_600, len(whole))
    np.testing.assert_allclose(whole[late], -x[late - delay], atol=1e-5)
    assert np.abs(np.diff(whole[1_000:], n=2)).max() < 4 * np.abs(np.diff(x, n=2)).max()


def test_what_is_out_of_range_is_told_with_the_range(here: Path) -> None:
    with pytest.raises(FullbandError, match=r"'gain_x' is 5; it can be from 0 to 4 x"):
        resolve([{"plugin": "good.so", "gain_x": 5.0}])
    with pytest.raises(FullbandError, match=r"'invert' is 0\.5; it can be true or false"):
        resolve([{"plugin": "good.so", "invert": 0.5}])
    with pytest.raises(FullbandError, match=r"unknown parameter 'gian_x'; did you mean 'gain_x'"):
        resolve([{"plugin": "good.so", "gian_x": 1.0}])


@pytest.mark.parametrize(
    ("inputs", "outputs", "lanes", "fed", "given"),
    [
        (1, 1, 2, [[0], [1]], [[0], [1]]),
        (1, 2, 1, [[0]], [[0, 0]]),
        (2, 2, 1, [[0, 0]], [[0, 0]]),
        (2, 2, 2, [[0, 1]], [[0, 1]]),
        (2, 2, 3, [[0, 1], [2, 2]], [[0, 1], [2, 2]]),
        (2, 1, 2, [[0, 1], [0, 1]], [[0], [1]]),
    ],
)
def test_channels_are_laid_on_ports(
    inputs: int, outputs: int, lanes: int, fed: list[list[int]], given: list[list[int]]
) -> None:
    assert wiring(inputs, outputs, lanes) == (fed, given)


def test_names_of_ports_become_keys_and_units() -> None:
    assert (key_of("Threshold (dB)"), unit_of("Threshold (dB)")) == ("threshold_db", "dB")
    assert key_of("Output select (-1 = key listen, 0 = gate, 1 = bypass)") == "output_select"
    assert key_of("???") == "control"


def test_hints_become_bounds_and_defaults() -> None:
    by_name = {p.name: p for p in parameters_of(find_plugin(_installed("gate_1410.so:gate")))}
    low_key = by_name["lf_key_filter_hz"]
    # Bounds in the file are parts of the sample rate; the default is the lower one.
    assert low_key.low == pytest.approx(0.0007 * 48_000, rel=1e-4)
    assert low_key.default == low_key.low
    assert by_name["range_db"].default == -90.0
    assert by_name["output_select"].kind == "integer"


@pytest.mark.parametrize(
    ("name", "latency_samples"),
    [
        ("amp.so:amp_stereo", 0),
        ("cmt.so:hpf", 0),
        ("sc4_1882.so:sc4", 0),
        ("plate_1423.so:plate", 0),
        ("fast_lookahead_limiter_1913.so:fastLookaheadLimiter", 240),
        ("mbeq_1197.so:mbeq", 768),
    ],
)
def test_real_plugins_run_at_the_latency_they_tell(name: str, latency_samples: int) -> None:
    facts = find_plugin(_installed(name))
    stage = LadspaStage(2, facts)
    assert stage.timing.latency_samples == latency_samples
    stage.close()
    x = tone(0.5, level=0.1)
    with Engine(STREAM, _settings(name)) as engine:
        heard = play(engine, x)
        told = engine.describe_chain()[0]
        step = 64
        assert engine.latency.network_ms == pytest.approx((step + latency_samples) / 48)
    assert np.isfinite(heard).all()
    assert np.abs(heard[12_000:]).max() > 1e-3
    assert (told["faults"], told["failing"]) == (0, False)


@pytest.mark.parametrize("plugin", ["good.so:delay48", "fast_lookahead_limiter_1913.so:fastLookaheadLimiter"])
def test_a_chain_with_a_plugin_in_it_is_as_late_as_computed(
    made: Path, monkeypatch: pytest.MonkeyPatch, plugin: str
) -> None:
    _installed("fast_lookahead_limiter_1913.so")
    monkeypatch.setenv("LADSPA_PATH", ":".join(map(str, [made, *folders()])))
    x = (0.1 * np.random.default_rng(0).standard_normal(48_000)).astype(np.float32)
    stages = [{"plugin": "high-pass"}, {"plugin": plugin}, {"plugin": "network"}, {"plugin": "limiter"}]
    settings = EngineSettings(find_model("default"), cutoff_hz=8_000.0, chain=resolve(stages))
    with (
        SimulatedDevice(x[None], 48_000, block_frames=128, freewheel=True) as device,
        Engine(device.stream, settings) as engine,
    ):
        engine.start()
        device.start(engine)
        device.wait()
        heard, delay = device.played[0], engine.delay_samples
        statistics = engine.statistics()
    size = 1 << 17
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(x, size).conj(), size)
    assert int(np.argmax(product)) == delay
    assert (statistics.dull_seconds, statistics.deadline_misses, statistics.bad_chunks) == (0.0, 0, 0)
