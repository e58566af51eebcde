// Two sliders for what the network adds: how loud it is, and how much more for every octave.

// A slider that is moved tells more often than a host listens.
const TELL_MS = 60;

export class Brightness {
  // `place` holds a row with a slider and a text for each wish; `changed` gets those that were moved.
  constructor(place, reset, changed) {
    this.place = place;
    this.rows = [...place.querySelectorAll("[data-wish]")];
    this.moved = {};
    for (const row of this.rows) {
      slider(row).addEventListener("input", () => this.move(row, changed));
    }
    reset.addEventListener("click", () => {
      for (const row of this.rows.filter((one) => !one.hidden)) {
        slider(row).value = 0;
        this.move(row, changed);
      }
    });
  }

  // What the host's model can be wished, and where that begins.
  offer(wishes) {
    for (const row of this.rows) {
      const wish = wishes[row.dataset.wish];
      row.hidden = !wish;
      if (!wish) continue;
      [slider(row).min, slider(row).max] = wish.range;
      slider(row).value = wish.value;
      show(row);
    }
    this.place.hidden = this.rows.every((row) => row.hidden);
  }

  get wishes() {
    const offered = this.rows.filter((row) => !row.hidden);
    return Object.fromEntries(offered.map((row) => [row.dataset.wish, Number(slider(row).value)]));
  }

  set disabled(on) {
    this.place.disabled = on;
  }

  move(row, changed) {
    show(row);
    this.moved[row.dataset.wish] = Number(slider(row).value);
    this.telling ??= setTimeout(() => {
      const moved = this.moved;
      this.moved = {};
      this.telling = undefined;
      changed(moved);
    }, TELL_MS);
  }
}

const slider = (row) => row.querySelector("input");

function show(row) {
  const value = Number(slider(row).value);
  const text = value === 0 ? "as it is" : `${value > 0 ? "+" : "−"}${Math.abs(value)} ${slider(row).dataset.unit}`;
  row.querySelector("span").textContent = text;
  slider(row).setAttribute("aria-valuetext", text);
}
