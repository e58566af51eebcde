// Requests to the host. Whatever it refuses is thrown with its own line.

let token = sessionStorage.getItem("fullband-token");
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  setToken(given);
  history.replaceState(null, "", location.pathname); // not for the next one who looks at the screen
}

export function setToken(value) {
  token = value;
  sessionStorage.setItem("fullband-token", value);
}

export class Refused extends Error {
  constructor(status, line) {
    super(line);
    this.status = status;
  }
}

export async function ask(method, path, { json, body } = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: json === undefined ? body : JSON.stringify(json) });
  } catch {
    throw new Refused(0, "the host cannot be reached");
  }
  if (response.ok) return response;
  let line = `the host says ${response.status}`;
  try {
    line = (await response.json()).error;
  } catch {
    // A proxy's answer, perhaps.
  }
  throw new Refused(response.status, line);
}
