// Connects to the server, and hands over what arrives to the parts of the page.

import { bindActions, showAction } from "./actions.js";
import { byId, clock, plural } from "./dom.js";
import { showEvents } from "./events.js";
import { addLines, bindLogs, showCounts, showNotices, showStore } from "./logs.js";
import { addMarks, addPoints, bindCharts } from "./metrics.js";
import { bindPicture, showNotes, showPicture } from "./picture.js";
import { showPast, showRun } from "./runs.js";

const state = {};
// So long without a word from the server, the page says so.
const SILENT_MILLISECONDS = 25000;
let heard = Date.now();

async function enter() {
  const code = location.hash.slice(1);
  if (code.length < 20) return true;
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("session", {
    method: "POST", headers: { "X-Hashlab": "1", "Content-Type": "application/json" }, body: JSON.stringify({ code }),
  });
  return answer.ok;
}

function close(text) {
  byId("closed").textContent = text;
  byId("closed").hidden = false;
  byId("connection").textContent = "not connected";
  byId("connection").className = "bad";
  for (const button of document.querySelectorAll("button")) button.disabled = true;
}

function summary(status) {
  const up = status.machines.filter((machine) => machine.state === "running").length;
  const serving = status.services.filter((service) => service.state === "running").length;
  const wrong = status.services.filter((service) => service.problem).length;
  const parts = [
    `provider ${status.provider}`,
    `${up} of ${plural(status.machines.length, "machine")} running`,
    `${serving} of ${plural(status.services.length, "service")} running`,
  ];
  const alerts = status.alerts?.length ?? 0;
  if (wrong) parts.push(plural(wrong, "problem"));
  if (alerts) parts.push(plural(alerts, "alert"));
  return parts.join(", ");
}

function showStatus() {
  const { status } = state;
  if (!status) return;
  document.title = `${status.lab}: hashlab`;
  byId("name").textContent = status.lab;
  byId("summary").textContent = summary(status);
  showStore(status.urls);
  showPicture(state);
  showNotes(state);
}

function showProblem(problem) {
  const place = byId("problem");
  place.hidden = !problem;
  if (!problem) return;
  const where = problem.where ? `${problem.where}: ` : "";
  const next = problem.next_step ? `. Next: ${problem.next_step}` : "";
  const stand = state.looked ? `. What is shown is from ${clock(state.looked * 1000)}.` : "";
  place.textContent = `${where}${problem.what}${next}${stand}`;
}

const PARTS = {
  status: showStatus,
  picture: showStatus,
  problem: () => showProblem(state.problem),
  logs: () => addLines(state.logs),
  counts: () => showCounts(state.counts),
  notices: () => showNotices(state.notices.items),
  events: () => { showEvents(state.events.items); addMarks(state.events.items); },
  run: () => showRun(state.run),
  runs: () => showPast(state.runs),
  action: () => showAction(state.action),
  usage: showStatus,
  points: () => addPoints(state.points.items),
  outdated: () => close("hashlab was upgraded. End hashlab ui in its terminal, and start it again."),
};

function take(batch) {
  heard = Date.now();
  if ("log_epoch" in batch) addLines(null);
  Object.assign(state, batch);
  for (const [name, part] of Object.entries(PARTS)) if (name in batch) part();
  byId("connection").textContent = state.deaf ? "live, but without runs: HASHLAB_DAEMON is off" : "live";
  byId("connection").className = "good";
}

function listen() {
  const stream = new EventSource("stream");
  stream.onmessage = (message) => take(JSON.parse(message.data));
  stream.addEventListener("end", () => { stream.close(); close("hashlab ui has ended. Start it again in the terminal: hashlab ui"); });
  stream.onerror = () => {
    byId("connection").textContent = "connecting again …";
    byId("connection").className = "warn";
    // A browser stops trying after an answer other than 200.
    if (stream.readyState === EventSource.CLOSED) refused();
  };
}

function refused() {
  close("This browser is not let in, because the address was used already or is too old. Press Enter in the terminal of hashlab ui for a new one.");
}

function watchSilence() {
  if (Date.now() - heard > SILENT_MILLISECONDS && byId("closed").hidden) {
    byId("connection").textContent = "no answer from hashlab ui";
    byId("connection").className = "bad";
  }
  if (state.status) showPicture(state);
}

bindActions(state);
bindCharts();
bindLogs();
bindPicture(state);
enter().then((entered) => (entered ? listen() : refused()), refused);
setInterval(watchSilence, 5000);
