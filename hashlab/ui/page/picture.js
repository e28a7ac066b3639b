// Draws the lab: a box for each machine, a card for each service in it, a line for each connection.

import { act, copy } from "./actions.js";
import { age, byId, clock, drawing, element, show } from "./dom.js";
import { filterService } from "./logs.js";
import { bytes, cores, share } from "./metrics.js";

let chosen = null;
let latest = null;

const TONES = {
  running: "good", starting: "warn", intercepted: "warn", unhealthy: "bad", restarting: "bad",
  ended: "bad", unknown: "bad", unreachable: "bad", paused: "warn", stopped: "dim", "not created": "dim",
};
const SIGNS = { good: "●", warn: "◐", bad: "✗", dim: "○" };

const label = (row, several) => (several.has(row.name) ? `${row.name} ${row.replica}` : row.name);

function tone(row) {
  if (row.problem) return "bad";
  return row.state === "ended" ? "dim" : TONES[row.state] ?? "warn";
}

function stateText(row) {
  if (row.state === "running" && row.health === "healthy") return "healthy";
  if (row.state === "ended") return `ended (${row.exit_code})`;
  return row.holder ? `on ${row.holder}` : row.state;
}

function sign(kind) {
  return element("span", { class: `sign ${kind}`, "aria-hidden": "true" }, SIGNS[kind]);
}

function edges({ picture, status }) {
  const known = new Set(status.services.map((row) => row.name));
  const seen = new Map();
  for (const talk of picture.talks) {
    const key = `${talk.client} ${talk.server}`;
    const edge = seen.get(key) ?? { from: talk.client, to: talk.server, ports: [], seen: true };
    edge.ports.push(talk.port);
    seen.set(key, edge);
  }
  for (const service of picture.services) {
    for (const need of service.needs) {
      const key = `${service.name} ${need}`;
      if (!seen.has(key)) seen.set(key, { from: service.name, to: need, ports: [], seen: false });
    }
  }
  return [...seen.values()].filter((edge) => known.has(edge.from) && known.has(edge.to));
}

function card(row, several) {
  const kind = tone(row);
  const facts = [row.since && `${age(row.healthy_since ?? row.since)}`, row.restarts ? `${row.restarts} restarts` : ""];
  const name = label(row, several);
  return element(
    "button",
    {
      type: "button", class: `card ${kind}`, "data-service": row.name, "data-key": name,
      "aria-pressed": chosen === name, onclick: () => choose(name),
    },
    element("span", { class: "card-name" }, sign(kind), name),
    element("span", { class: "card-state" }, stateText(row)),
    element("span", { class: "card-facts" }, facts.filter(Boolean).join(", ")),
    element("span", { class: "card-usage", "data-usage": `${row.name} ${row.replica}` }),
  );
}

function machine(one, rows, several) {
  const kind = TONES[one.state] ?? "warn";
  return element(
    "li", { class: "machine" },
    element("h3", {}, sign(kind), one.name, element("span", { class: "dim" }, `${one.state}, ${one.address}`)),
    element("p", { class: "dim usage", "data-usage": one.name }),
    rows.length
      ? element("ul", {}, rows.map((row) => element("li", {}, card(row, several))))
      : element("p", { class: "dim" }, "no services"),
  );
}

const rate = (value) => (value === null ? "–" : `${bytes(value)}/s`);

// Texts about processor and memory, by machine, and by service with the number of its replica.
function used(usage) {
  const found = {};
  for (const one of usage?.machines ?? []) {
    const processor = one.cpu_cores === null ? "" : `${cores(one.cpu_cores).replace(" cores", "")} of ${one.cpus} cores, `;
    found[one.machine] = `${processor}${share(one.memory_bytes, one.memory_limit_bytes)}, disk ${bytes(one.disk_available_bytes)} free, `
      + `in ${rate(one.network_received_bytes_per_second)}, out ${rate(one.network_sent_bytes_per_second)}`;
  }
  for (const one of usage?.services ?? []) {
    found[`${one.service} ${one.replica}`] = [cores(one.cpu_cores), bytes(one.memory_bytes)].filter(Boolean).join(", ");
  }
  return found;
}

// Only texts change, so that nothing is built again every two seconds.
function showUsage(usage) {
  const texts = used(usage);
  for (const place of byId("picture").querySelectorAll("[data-usage]")) {
    const text = texts[place.dataset.usage] ?? "";
    if (place.textContent !== text) place.textContent = text;
  }
}

function choose(name) {
  chosen = chosen === name ? null : name;
  showPicture(latest);
  byId("picture").querySelector(`[data-key="${CSS.escape(name)}"]`)?.focus();
}

function fact(name, value, kind = "") {
  return value ? [element("dt", {}, name), element("dd", { class: kind }, value)] : [];
}

function detail(row, state, several) {
  const all = edges(state);
  const called = (edge, other) => `${other}${edge.ports.length ? `:${edge.ports.join(", ")}` : " (not seen)"}`;
  const out = all.filter((edge) => edge.from === row.name).map((edge) => called(edge, edge.to));
  const into = all.filter((edge) => edge.to === row.name).map((edge) => called(edge, edge.from));
  const urls = state.picture.services.find((each) => each.name === row.name)?.urls ?? [];
  const last = row.last_exit;
  const command = `hashlab exec ${row.name} sh`;
  return [
    element("h3", {}, sign(tone(row)), label(row, several)),
    element(
      "dl", {},
      fact("State", stateText(row), tone(row)),
      fact("Problem", row.problem, "bad"),
      fact("Machine", row.machine),
      fact("Since", row.since && `${clock(row.since)} (${age(row.since)})`),
      fact("Healthy since", row.healthy_since && clock(row.healthy_since)),
      fact("Restarts", row.restarts ? String(row.restarts) : "none"),
      fact("Build", row.running_build === row.build ? `${row.build}, which runs` : row.build),
      fact("Runs instead", row.running_build !== row.build ? row.running_build : "", "bad"),
      fact("Stale", row.stale, "warn"),
      fact("Last end", last && `${clock(last.time)}${last.code === null ? "" : `, exit code ${last.code}`}`),
      fact("Last line", last?.line, "mono"),
      fact("Connects to", out.join("; ")),
      fact("Is used by", into.join("; ")),
      urls.length ? [element("dt", {}, "Opens at"), element("dd", {}, urls.map((url) => (
        /^https?:/.test(url) ? element("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, url) : url
      )))] : [],
    ),
    element(
      "div", { class: "actions" },
      element("button", { type: "button", onclick: () => act("restart", row.name) }, "Restart"),
      element("button", { type: "button", onclick: () => filterService(row.name) }, "Only its logs"),
      element("button", { type: "button", onclick: () => copy(command) }, "Copy: ", element("code", {}, command)),
    ),
  ];
}

export function showPicture(state) {
  latest = state;
  const { status, picture } = state;
  if (!status || !picture) return;
  const several = new Set(status.services.filter((row) => row.replica > 1).map((row) => row.name));
  const place = byId("picture");
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const drawn = status.services.map((row) => [row, row.since ? age(row.healthy_since ?? row.since) : ""]);
  const changed = show(place, [status.machines, drawn, picture.talks.map((talk) => ({ ...talk, seen: 0 })), chosen], () => [
    element("ul", { class: "machines" }, status.machines.map((one) => (
      machine(one, status.services.filter((row) => row.machine === one.name), several)
    ))),
    drawing("svg", { id: "edges", "aria-hidden": "true" }),
  ]);
  showUsage(state.usage);
  if (changed && focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  byId("legend").hidden = edges(state).length === 0;
  const row = status.services.find((each) => label(each, several) === chosen);
  byId("detail").hidden = !row;
  if (row) show(byId("detail"), [row, edges(state), drawn], () => detail(row, state, several));
  if (changed) drawEdges();
}

// From a side of one card to a side of the other; between cards above each other in a bow beside them.
function path(from, to) {
  const y1 = from.top + from.height / 2;
  const y2 = to.top + to.height / 2;
  if (Math.abs(from.left - to.left) < from.width / 2) {
    const bow = Math.min(28, 10 + Math.abs(y2 - y1) / 8);
    return `M${from.right},${y1} C${from.right + bow},${y1} ${to.right + bow},${y2} ${to.right + 3},${y2}`;
  }
  const right = from.left < to.left;
  const [x1, x2] = right ? [from.right, to.left - 3] : [from.left, to.right + 3];
  const bend = Math.max(24, Math.abs(x2 - x1) / 2) * (right ? 1 : -1);
  return `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
}

function drawEdges() {
  const place = byId("picture");
  const svg = byId("edges");
  if (!svg || !latest?.picture) return;
  const ground = place.getBoundingClientRect();
  const boxes = new Map();
  for (const one of place.querySelectorAll(".card")) {
    const box = one.getBoundingClientRect();
    if (boxes.has(one.dataset.service)) continue;
    boxes.set(one.dataset.service, {
      left: box.left - ground.left, right: box.right - ground.left, top: box.top - ground.top, width: box.width, height: box.height,
    });
  }
  svg.setAttribute("width", ground.width);
  svg.setAttribute("height", ground.height);
  const name = latest.status.services.find((row) => chosen === row.name || chosen === `${row.name} ${row.replica}`)?.name;
  svg.replaceChildren(
    drawing("defs", {}, ["seen", "file", "chosen"].map((kind) => drawing(
      "marker", { id: `arrow-${kind}`, class: kind, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
      drawing("path", { d: "M0,0.5 L8,4 L0,7.5 z" }),
    ))),
    ...edges(latest).map((edge) => {
      const kind = edge.seen ? "seen" : "file";
      const near = name && (edge.from === name || edge.to === name);
      const faint = name && !near;
      return drawing("path", {
        class: `edge ${kind}${near ? " chosen" : ""}${faint ? " faint" : ""}`,
        d: path(boxes.get(edge.from), boxes.get(edge.to)), "marker-end": `url(#arrow-${near ? "chosen" : kind})`,
      });
    }),
  );
}

export function showNotes(state) {
  const alerts = state.status.alerts ?? [];
  byId("alerts").hidden = alerts.length === 0;
  show(byId("alerts"), alerts, () => alerts.map((each) => (
    element("li", { class: "bad" }, element("strong", {}, each.alert), `: ${each.text}, since ${clock(each.since)}`)
  )));
  const notes = state.status.notes;
  byId("notes").hidden = notes.length === 0;
  show(byId("notes"), notes, () => notes.map((note) => element("li", {}, note)));
}

export function bindPicture() {
  new ResizeObserver(drawEdges).observe(byId("picture"));
}
