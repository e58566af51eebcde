// A canvas that scrolls: one pixel a column, one pixel a band, the newest on the right.

// Black, purple, orange, light: as light as the level is high, so that it reads without colour, too.
const ANCHORS = [[0, 0, 4], [40, 17, 88], [114, 31, 129], [182, 55, 121], [241, 96, 93], [254, 175, 119], [252, 253, 191]];

const PALETTE = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (ANCHORS.length - 1);
  const k = Math.min(Math.floor(place), ANCHORS.length - 2);
  return ANCHORS[k].map((from, channel) => Math.round(from + (place - k) * (ANCHORS[k + 1][channel] - from)));
});

export class Spectrogram {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.clear();
  }

  clear() {
    this.context.fillStyle = `rgb(${PALETTE[0].join(" ")})`;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  // Columns: a list of Uint8Array, the lowest band first.
  draw(columns) {
    const { width, height } = this.canvas;
    const shown = columns.slice(-width);
    if (shown.length === 0) return;
    this.context.drawImage(this.canvas, -shown.length, 0);
    const image = this.context.createImageData(shown.length, height);
    shown.forEach((column, x) => {
      for (let band = 0; band < height; band++) {
        const at = ((height - 1 - band) * shown.length + x) * 4;
        image.data.set(PALETTE[column[band]], at);
        image.data[at + 3] = 255;
      }
    });
    this.context.putImageData(image, width - shown.length, 0);
  }
}

// Bytes as they come: of each column its bands before, then its bands after.
export function split(bytes, bands) {
  const before = [];
  const after = [];
  for (let at = 0; at + 2 * bands <= bytes.length; at += 2 * bands) {
    before.push(bytes.subarray(at, at + bands));
    after.push(bytes.subarray(at + bands, at + 2 * bands));
  }
  return { before, after };
}
