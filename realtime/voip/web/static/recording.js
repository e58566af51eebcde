// A recording that the host has made full-band: both played at once, one of them heard.

import { ask } from "./api.js";
import { split } from "./spectrogram.js";

const FADE_S = 0.01;

export class Recording {
  constructor({ columns, over }) {
    Object.assign(this, { columns, over });
    this.ended = false;
  }

  async start(file, { bypass, ...wishes }, spectrum) {
    this.context = new AudioContext({ sampleRate: 48000 });
    const about = await (await ask("POST", `api/files?${new URLSearchParams(wishes)}`, { body: file })).json();
    const fetched = (name) => ask("GET", `api/files/${about.id}/${name}`);
    this.blobs = {
      before: await (await fetched("before.wav")).blob(),
      after: await (await fetched("after.wav")).blob(),
    };
    this.drawn = 0;
    this.perSecond = spectrum.columns_per_second;
    this.spectra = split(new Uint8Array(await (await fetched("spectrum")).arrayBuffer()), spectrum.bands);
    if (this.ended) return about;
    const [before, after] = await Promise.all([this.voice(this.blobs.before), this.voice(this.blobs.after)]);
    this.gains = { before: before.gain, after: after.gain };
    this.wish({ bypass });
    await this.context.resume();
    this.began = this.context.currentTime + 0.05;
    before.source.start(this.began);
    after.source.start(this.began);
    after.source.onended = () => this.end("the recording is over");
    this.draw();
    return about;
  }

  async voice(blob) {
    const source = this.context.createBufferSource();
    source.buffer = await this.context.decodeAudioData(await blob.arrayBuffer());
    const gain = this.context.createGain();
    gain.gain.value = 0;
    source.connect(gain).connect(this.context.destination);
    return { source, gain: gain.gain };
  }

  wish({ bypass }) {
    if (bypass === undefined || !this.gains) return;
    const now = this.context.currentTime;
    for (const [side, heard] of [["before", bypass], ["after", !bypass]]) {
      this.gains[side].cancelScheduledValues(now);
      this.gains[side].setTargetAtTime(heard ? 1 : 0, now, FADE_S);
    }
  }

  draw() {
    if (this.ended) return;
    const until = Math.floor((this.context.currentTime - this.began) * this.perSecond);
    if (until > this.drawn) {
      const { before, after } = this.spectra;
      this.columns(before.slice(this.drawn, until), after.slice(this.drawn, until));
      this.drawn = until;
    }
    setTimeout(() => this.draw(), 60);
  }

  end(reason = "") {
    if (this.ended) return;
    this.ended = true;
    this.context?.close();
    this.over(reason);
  }
}
