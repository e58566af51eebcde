// The microphone to the host and back, over WebRTC.

import { ask } from "./api.js";

const GATHER_MS = 2000;

// What the voice goes through here would be heard as the network's doing.
const MICROPHONE = {
  channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false,
};

export class Call {
  // `hear` gets the stream that comes back; `columns`, `figures` and `over` what the host tells.
  constructor({ hear, columns, figures, over }) {
    Object.assign(this, { hear, columns, figures, over });
    this.ended = false;
    this.early = {}; // what was wished before the host could be told
  }

  async start(codec, wishes) {
    try {
      this.microphone = await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE });
    } catch (error) {
      throw new Error(`no microphone: ${error.message}`);
    }
    const peer = (this.peer = new RTCPeerConnection());
    const [track] = this.microphone.getAudioTracks();
    const transceiver = peer.addTransceiver(track, { direction: "sendrecv", streams: [this.microphone] });
    prefer(transceiver, codec);
    peer.ontrack = (event) => this.hear(event.streams[0] ?? new MediaStream([event.track]));
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === "failed") this.end("no connection for media; see --media-address of the host");
    };
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
    const offer = { sdp: peer.localDescription.sdp, ...wishes };
    const answer = await (await ask("POST", "api/sessions", { json: offer })).json();
    this.path = `api/sessions/${answer.id}`;
    await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    this.listen();
  }

  listen() {
    const address = new URL(`${this.path}/events`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const events = (this.events = new WebSocket(address));
    events.binaryType = "arraybuffer";
    events.onopen = () => this.wish(this.early);
    events.onmessage = ({ data }) => {
      if (typeof data !== "string") return this.columns(new Uint8Array(data));
      const told = JSON.parse(data);
      if (told.figures) this.figures(told.figures);
      if (told.ended) this.end(told.ended);
    };
    events.onclose = () => this.end("the host has gone");
  }

  wish(wishes) {
    if (this.events?.readyState === WebSocket.OPEN) this.events.send(JSON.stringify(wishes));
    else Object.assign(this.early, wishes);
  }

  async recording(side) {
    return (await ask("GET", `${this.path}/${side}.wav`)).blob();
  }

  // How long the browser itself holds what comes back, in ms, since the last look.
  async heldMs() {
    let held = null;
    for (const report of (await this.peer.getStats()).values()) {
      if (report.type !== "inbound-rtp") continue;
      const { jitterBufferDelay: delay, jitterBufferEmittedCount: count } = report;
      const before = this.seen ?? { delay: 0, count: 0 };
      if (count > before.count) held = (1000 * (delay - before.delay)) / (count - before.count);
      this.seen = { delay, count };
    }
    return held;
  }

  // Once; `reason` is empty where the person has ended it.
  end(reason = "") {
    if (this.ended) return;
    this.ended = true;
    this.events?.close();
    this.peer?.close();
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.over(reason);
  }
}

function prefer(transceiver, codec) {
  const all = RTCRtpReceiver.getCapabilities?.("audio")?.codecs ?? [];
  const named = (name) => all.filter((one) => one.mimeType.toLowerCase() === `audio/${name.toLowerCase()}`);
  // What comes back is Opus, whatever is sent.
  const wanted = [...named(codec), ...(codec === "opus" ? [] : named("opus"))];
  if (named(codec).length === 0) throw new Error(`this browser has no ${codec}`);
  transceiver.setCodecPreferences(wanted);
}

function gathered(peer) {
  return new Promise((done) => {
    const look = () => peer.iceGatheringState === "complete" && done();
    peer.addEventListener("icegatheringstatechange", look);
    setTimeout(done, GATHER_MS);
    look();
  });
}
