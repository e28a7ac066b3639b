// Shows the last log lines. It holds 1,000 that pass the filters, draws what is new twice a second, and counts all.

import { byId, element, show } from "./dom.js";

const MOST = 1000;
// Lines that are drawn; older ones of those that are held are not looked at by anybody.
const DRAWN = 200;
const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"];
const COLOURS = 8;

// The command that shows what the page no longer holds.
let older = "hashlab logs";
let held = [];
let passing = [];
const colours = new Map();

const service = (line) => line.service ?? line.machine;
const filters = () => ({
  service: byId("log-service").value, level: LEVELS.indexOf(byId("log-level").value), text: byId("log-text").value.toLowerCase(),
});

function passes(line, { service: name, level, text }) {
  if (name && service(line) !== name) return false;
  if (level >= 0 && LEVELS.indexOf(line.level) < level) return false;
  return !text || line.message.toLowerCase().includes(text);
}

function colour(name) {
  if (!colours.has(name)) colours.set(name, colours.size % COLOURS);
  return colours.get(name);
}

const pad = (number, width = 2) => String(number).padStart(width, "0");
function time(iso) {
  const at = new Date(iso);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
}

// Built by hand, because hundreds of these are made in one frame.
function row(line) {
  const parts = [["time", time(line.time)], [`name colour-${colour(service(line))}`, service(line) + (line.replica > 1 ? `-${line.replica}` : "")],
    ["message", line.message]];
  const div = document.createElement("div");
  div.className = `line ${line.level ?? ""}`;
  for (const [kind, text] of parts) {
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = text;
    div.append(span);
  }
  return div;
}

function draw(lines, { again = false } = {}) {
  const place = byId("lines");
  const fresh = lines.slice(-DRAWN).map(row);
  if (again) place.replaceChildren(...fresh);
  else {
    place.append(...fresh);
    const old = place.childElementCount - DRAWN;
    if (old > 0) {
      const range = document.createRange();
      range.setStartBefore(place.firstChild);
      range.setEndAfter(place.children[old - 1]);
      range.deleteContents();
    }
  }
  follow(2);
}

// The heights of rows that come into sight are known one frame later, so the end is then elsewhere.
function follow(frames) {
  const place = byId("lines");
  if (!byId("log-follow").checked) return;
  place.scrollTop = place.scrollHeight;
  if (frames > 0) requestAnimationFrame(() => follow(frames - 1));
}

function note() {
  const all = filters();
  const filtered = all.service || all.level >= 0 || all.text;
  byId("lines-note").textContent = passing.length === 0
    ? (filtered ? "No line passes the filters." : "No line was logged yet.")
    : `The last ${Math.min(passing.length, DRAWN)} lines${filtered ? " that pass the filters" : ""}. Older ones: ${older}`;
}

export function addLines(logs) {
  if (logs === null) {
    held = [];
    passing = [];
    draw([], { again: true });
    return;
  }
  const wanted = filters();
  held = held.concat(logs.items).slice(-MOST);
  const fresh = logs.items.filter((line) => passes(line, wanted));
  passing = passing.concat(fresh).slice(-MOST);
  // Lines do not move under the eyes of a reader who has scrolled up.
  if (byId("log-follow").checked) draw(fresh);
  note();
}

function again() {
  const wanted = filters();
  passing = held.filter((line) => passes(line, wanted));
  draw(passing, { again: true });
  note();
}

// A lab with a log store has a page for all lines.
export function showStore(urls) {
  older = urls.logs ? "hashlab open logs" : "hashlab logs";
}

export function showCounts(counts) {
  const levels = new Map();
  const names = new Map();
  for (const [name, level, count] of counts) {
    levels.set(level, (levels.get(level) ?? 0) + count);
    names.set(name, (names.get(name) ?? 0) + count);
  }
  const order = [...LEVELS].reverse().filter((level) => levels.has(level));
  const all = [...levels.values()].reduce((sum, count) => sum + count, 0);
  show(byId("counts"), [...levels], () => [
    element("span", {}, `${all.toLocaleString()} lines`),
    ...order.map((level) => element("span", { class: `count ${level}` }, `${level} ${levels.get(level).toLocaleString()}`)),
  ]);
  const select = byId("log-service");
  const known = new Set([...select.options].map((option) => option.value));
  for (const name of [...names.keys()].sort()) {
    if (!known.has(name)) select.append(element("option", { value: name }, name));
  }
}

export function showNotices(items) {
  for (const text of items) {
    byId("lines").append(element("div", { class: "line warn" }, element("span", { class: "message" }, text)));
  }
}

export function filterService(name) {
  const select = byId("log-service");
  if (![...select.options].some((option) => option.value === name)) select.append(element("option", { value: name }, name));
  select.value = name;
  again();
  byId("log").scrollIntoView({ block: "start" });
  byId("lines").focus({ preventScroll: true });
}

export function bindLogs() {
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("log-service").addEventListener("change", again);
  byId("log-level").addEventListener("change", again);
  byId("log-text").addEventListener("input", again);
  byId("log-follow").addEventListener("change", () => { if (byId("log-follow").checked) again(); });
  byId("lines").addEventListener("wheel", (event) => { if (event.deltaY < 0) byId("log-follow").checked = false; }, { passive: true });
  byId("lines").addEventListener("keydown", (event) => {
    if (["ArrowUp", "PageUp", "Home"].includes(event.key)) byId("log-follow").checked = false;
    if (event.key === "End") { byId("log-follow").checked = true; again(); }
  });
}
