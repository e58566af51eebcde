// The page: what can be pressed, and what is shown.

import { ask, Refused, setToken } from "./api.js";
import { Brightness } from "./brightness.js";
import { Call } from "./call.js";
import { Recording } from "./recording.js";
import { split, Spectrogram } from "./spectrogram.js";
import { figureRows, showFigures, showTables } from "./tables.js";

const FIGURES_MS = 1000;

const $ = (name) => document.getElementById(name);
const pictures = { before: new Spectrogram($("before")), after: new Spectrogram($("after")) };
const brightness = new Brightness($("wishes"), $("as-it-is"), (moved) => heard?.wish(moved));
let info = null;
let heard = null; // the Call or the Recording
let held = null; // what the browser's own buffer holds, in ms

const source = () => document.querySelector("input[name=source]:checked").value;
const bypassed = () => "on" in $("bypass").dataset;
const recordingOn = () => "on" in $("record").dataset;

function say(text) {
  $("status").textContent = text;
}

function complain(error) {
  $("error").textContent = error ? error.message : "";
  $("error").hidden = !error;
  if (error instanceof Refused && error.status === 401) askForToken();
}

// What a button does, or how it stands, is in its text.
function press(button, on, label) {
  button.toggleAttribute("data-on", on);
  button.textContent = label;
}

function show(before, after) {
  pictures.before.draw(before);
  pictures.after.draw(after);
}

function showLevels(told) {
  for (const side of ["before", "after"]) {
    $(`${side}-level`).textContent = `Level above 4.4 kHz: ${told[`high_${side}_dbfs`]} dB of full scale.`;
  }
}

function offer(blobs) {
  for (const [side, blob] of Object.entries(blobs)) {
    const link = $(`download-${side}`);
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(blob);
  }
  $("downloads").hidden = false;
}

// -- started and stopped ------------------------------------------------------------------------------------------

function running(on) {
  $("start").textContent = on ? "Stop" : "Start";
  for (const element of document.querySelectorAll("input[name=source], #file, #codec")) element.disabled = on;
  $("band").disabled = brightness.disabled = on && source() === "recording";
  $("bypass").disabled = !on;
  $("record").disabled = !on || source() !== "microphone";
  press($("record"), false, "Record");
}

function over(reason) {
  heard = null;
  held = null;
  $("heard").srcObject = null;
  // A button that is disabled would lose the focus to nowhere.
  if ([$("bypass"), $("record")].includes(document.activeElement)) $("start").focus();
  running(false);
  say(reason ? `Stopped: ${reason}.` : "Stopped.");
}

async function start() {
  complain(null);
  Object.values(pictures).forEach((picture) => picture.clear());
  const wishes = { band: $("band").value, bypass: bypassed(), ...brightness.wishes };
  const own = source() === "microphone" ? call() : recording();
  heard = own;
  running(true);
  try {
    if (own instanceof Call) {
      say("Connecting …");
      await own.start($("codec").value, wishes);
    } else {
      const [file] = $("file").files;
      if (!file) throw new Error("choose a recording first");
      if (file.size > info.limits.upload_mb * 1e6) throw new Error(`recordings of up to ${info.limits.upload_mb} MB`);
      say("Converting the recording …");
      const about = await own.start(file, wishes, info.spectrum);
      offer(own.blobs);
      showLevels(about);
      showFigures($("figures"), [
        ["Length", `${about.seconds.toFixed(2)} s`],
        ["Sample rate that the network heard", `${about.band_rate_hz / 1000} kHz`],
        ["The voice's own band ends at", `${about.cutoff_hz / 1000} kHz`],
        ["Made", `${Math.round(1 / Math.max(about.rtf, 1e-6))} × as fast as it plays`],
      ]);
      if (!own.ended) say("Playing the recording. Bypass lets you hear it as it was.");
    }
  } catch (error) {
    complain(error);
    own.end(error.message);
  }
}

function call() {
  let connected = false;
  const own = new Call({
    hear: (stream) => {
      $("heard").srcObject = stream;
      $("heard").play().catch((error) => complain(error));
    },
    columns: (bytes) => {
      const { before, after } = split(bytes, info.spectrum.bands);
      show(before, after);
    },
    figures: (figures) => {
      if (figures.connected && !connected) {
        connected = true;
        say("Connected. Speak, and hear yourself.");
      }
      showFigures($("figures"), figureRows(figures, held));
      showLevels(figures);
      if (recordingOn() && !figures.recording && figures.recorded_seconds >= info.limits.record_seconds) finishRecord();
    },
    over,
  });
  return own;
}

function recording() {
  return new Recording({ columns: show, over });
}

async function stop() {
  const own = heard;
  if (recordingOn()) await finishRecord();
  own?.end();
}

// -- buttons ------------------------------------------------------------------------------------------------------

function toggleBypass() {
  const on = !bypassed();
  press($("bypass"), on, `Bypass: ${on ? "on" : "off"}`);
  heard?.wish({ bypass: on });
  say(on ? "Bypass on: you hear the voice as it came." : "Bypass off: you hear it full-band.");
}

async function toggleRecord() {
  if (recordingOn()) return finishRecord();
  heard?.wish({ record: true });
  press($("record"), true, "Stop recording");
  say(`Recording, ${info.limits.record_seconds} seconds at most.`);
}

async function finishRecord() {
  press($("record"), false, "Record");
  const own = heard;
  own?.wish({ record: false });
  try {
    offer({ before: await own.recording("before"), after: await own.recording("after") });
    say("Recorded. Both recordings can be downloaded below.");
  } catch (error) {
    complain(error);
  }
}

function choose() {
  for (const element of document.querySelectorAll("[data-for]")) element.hidden = element.dataset.for !== source();
}

// -- the beginning ------------------------------------------------------------------------------------------------

function askForToken() {
  $("token-form").hidden = false;
  $("controls").hidden = true;
  $("token").focus();
}

async function load() {
  try {
    info = await (await ask("GET", "api/info")).json();
  } catch (error) {
    complain(error);
    return;
  }
  complain(null);
  $("token-form").hidden = true;
  $("controls").hidden = false;
  $("band").replaceChildren(...info.bands.map((band) => new Option(band.label, band.name)));
  brightness.offer(info.wishes);
  $("file-hint").textContent = `up to ${info.limits.upload_mb} MB and ${info.limits.upload_seconds} s`;
  $("version").textContent = info.version;
  $("model").textContent = info.model;
  showTables($("tables"), info.tables);
}

$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  heard ? stop() : start();
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value);
  load();
});
$("bypass").addEventListener("click", toggleBypass);
$("record").addEventListener("click", toggleRecord);
$("band").addEventListener("change", () => heard?.wish({ band: $("band").value }));
document.querySelectorAll("input[name=source]").forEach((input) => input.addEventListener("change", choose));
setInterval(async () => {
  if (heard instanceof Call && heard.peer && !heard.ended) held = (await heard.heldMs()) ?? held;
}, FIGURES_MS);
choose();
load();
