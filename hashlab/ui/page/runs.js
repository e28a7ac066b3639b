// The waterfall of the run that goes on, or of a past one, and the list of past runs.

import { byId, clock, element, forget, show } from "./dom.js";

const SIGNS = { ok: "✓", skipped: "·", failed: "✗", cancelled: "!", "not-reached": "○", running: "…" };
const STEPS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
let current = null;
let past = [];
let chosen = null;
let ticking = null;
// The number of the newest request: an older answer that arrives late is not shown.
let asked = 0;

const seconds = (value) => `${value.toFixed(2)} s`;

function bar(row, total) {
  const length = row.seconds ?? Math.max(0, total - row.offset);
  const node = element("span", { class: `bar ${row.status}${row.critical ? " critical" : ""}` });
  const left = total > 0 ? Math.min(100, (100 * row.offset) / total) : 0;
  node.style.left = `min(${left}%, 100% - 3px)`;
  node.style.width = `${Math.min(100 - left, total > 0 ? (100 * length) / total : 0)}%`;
  return node;
}

function axis(total) {
  const step = STEPS.find((each) => total / each <= 5) ?? total;
  const ticks = [];
  for (let at = 0; at <= total * 0.85; at += step) {
    const tick = element("span", { class: "tick" }, `${+at.toFixed(2)} s`);
    tick.style.left = `${total > 0 ? (100 * at) / total : 0}%`;
    ticks.push(tick);
  }
  return element("div", { class: "axis", "aria-hidden": "true" }, ticks);
}

function line(row, total) {
  const place = [row.machine, row.service].filter(Boolean).join(" ");
  const began = row.offset !== null && row.offset !== undefined;
  const took = row.seconds !== null && row.seconds !== undefined && began ? seconds(row.seconds) : "";
  return element(
    "li", { class: `step ${row.status} depth-${Math.min(row.depth, 3)}` },
    element("span", { class: "step-name" }, element("span", { class: "sign", "aria-hidden": "true" }, SIGNS[row.status] ?? "…"), row.name,
      place ? element("span", { class: "dim" }, place) : null),
    element("span", { class: "lane" }, began ? bar(row, total) : null),
    element("span", { class: "step-seconds" }, took),
    element("span", { class: "step-detail" }, row.status === "ok" || row.status === "skipped" ? row.detail : `${row.status}${row.detail ? `: ${row.detail}` : ""}`),
  );
}

function drawn(run, title, total, tone) {
  return [
    element("h3", {}, title, element("span", { class: `dim ${tone}` }, run.error ? `failed: ${run.error}` : "")),
    axis(total),
    element("ol", { class: "steps" }, run.phases.map((row) => line(row, total))),
  ];
}

function drawCurrent() {
  if (!current) return;
  const total = Math.max(0.5, Date.now() / 1000 - current.started);
  const place = byId("waterfall");
  forget(place);
  place.replaceChildren(...drawn(current, `hashlab ${current.command} runs`, total, ""));
}

export function showRun(run) {
  current = run;
  clearInterval(ticking);
  if (run) {
    chosen = null;
    drawCurrent();
    ticking = setInterval(drawCurrent, 500);
  } else {
    choosePast(past[0]?.name);
  }
  showList();
}

async function choosePast(name) {
  if (!name || current) return;
  asked += 1;
  const number = asked;
  const answer = await fetch(`run?${encodeURIComponent(name)}`);
  if (!answer.ok) return;
  const run = await answer.json();
  if (current || number !== asked) return;
  chosen = name;
  const title = `hashlab ${run.command}, ${clock(run.started * 1000)}, ${seconds(run.seconds)}`;
  show(byId("waterfall"), run, () => drawn(run, title, run.seconds, run.ok ? "" : "bad"));
  showList();
}

function showList() {
  const list = byId("past");
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  show(list, [past, chosen, current !== null], () => past.map((run) => element(
    "li", {},
    element(
      "button",
      { type: "button", class: "past", "data-name": run.name, "aria-pressed": run.name === chosen, disabled: current !== null, onclick: () => choosePast(run.name) },
      element("span", { class: `sign ${run.ok ? "good" : "bad"}`, "aria-hidden": "true" }, run.ok ? "✓" : "✗"),
      element("span", { class: "past-command" }, run.command),
      element("span", { class: "past-seconds" }, run.ok ? seconds(run.seconds) : "failed"),
      element("span", { class: "dim" }, clock(run.started * 1000)),
    ),
  )));
  if (focused) list.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

export function showPast(runs) {
  past = runs;
  if (!current) choosePast(runs[0]?.name);
  if (!current && runs.length === 0) show(byId("waterfall"), "none", () => element("p", { class: "dim" }, "No run is recorded yet."));
  showList();
}
