// Figures and tables. All text is set as text: nothing of it can be markup.

function cell(kind, text, scope) {
  const element = document.createElement(kind);
  element.textContent = text;
  if (scope) element.scope = scope;
  return element;
}

function row(...cells) {
  const element = document.createElement("tr");
  element.append(...cells);
  return element;
}

export function showFigures(table, rows) {
  table.tBodies[0].replaceChildren(...rows.map(([name, text]) => row(cell("th", name, "row"), cell("td", text))));
}

const ms = (value) => `${value.toFixed(1)} ms`;
const percent = (share) => `${(100 * share).toFixed(2)} %`;

// What the host tells of a session, in words; `held` is what the browser's buffer holds, in ms.
export function figureRows(figures, held) {
  const { leg, latency_ms: parts } = figures;
  const way = leg.round_trip_ms ?? 0;
  const host = parts.buffer + parts.band + parts.network + parts.packet;
  const total = host + way + (held ?? 0);
  return [
    ["Delay from microphone to ear, without sound card and encoder", ms(total)],
    ["… the way there and back (RTCP)", leg.round_trip_ms === null ? "not known yet" : ms(way)],
    ["… the host's jitter buffer", ms(parts.buffer)],
    ["… the filter that limits the band", ms(parts.band)],
    ["… the network, hop and window included", ms(parts.network)],
    ["… a packet being filled", ms(parts.packet)],
    ["… the browser's own buffer", held === null ? "not known yet" : ms(held)],
    ["Sent as", leg.codec],
    ["Packets lost on the way to the host", `${leg.lost} of ${leg.expected} (${percent(leg.lost / Math.max(leg.expected, 1))})`],
    ["Made up by the host", percent(leg.concealed_share)],
    ["Jitter (RFC 3550)", ms(leg.jitter_ms)],
    ["Quality by the E-model (G.107)", leg.mos === null ? "not known yet" : leg.mos.toFixed(2)],
    ["The voice's own band ends at", `${(figures.cutoff_hz / 1000).toFixed(1)} kHz`],
    ["Level above 4.4 kHz, before and after", `${figures.high_before_dbfs} and ${figures.high_after_dbfs} dB`],
    ["Load: median of a frame's time that is worked", percent(figures.load)],
    ["Slowest of a hundred frames", `${ms(figures.tick_p99_ms)} of 10`],
    ["Frames late, without the network, in all", `${figures.late_ticks}, ${figures.dull_ticks}, ${figures.ticks}`],
    ["Sessions on this host", String(figures.sessions)],
  ];
}

export function showTables(place, tables) {
  place.replaceChildren(...tables.map((table) => {
    const element = document.createElement("table");
    element.append(cell("caption", table.heading));
    element.createTHead().append(row(...table.columns.map((text) => cell("th", text, "col"))));
    const body = element.createTBody();
    let group = "";
    for (const [first, ...rest] of table.rows) {
      group = first || group; // an empty one is that of the row above
      body.append(row(cell("th", group, "row"), ...rest.map((text) => cell("td", text))));
    }
    const frame = document.createElement("div");
    frame.className = "scroll";
    frame.tabIndex = 0; // so that it can be scrolled by the keyboard
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", table.heading);
    const about = document.createElement("details");
    about.append(cell("summary", `About “${table.heading}”`), cell("p", table.about));
    frame.append(element, about);
    return frame;
  }));
  if (tables.length === 0) place.textContent = "The model card is missing.";
}
