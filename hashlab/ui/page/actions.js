// The buttons: each change is a POST that only this page can send, and its end arrives in the stream.

import { byId, clock, element } from "./dom.js";

// Whether the end of the command that runs is to be reported: this page has seen it begin.
let awaited = false;
const NAME = /^[a-z0-9][a-z0-9_.-]{0,40}$/;

export function say(text, tone = "") {
  byId("said").textContent = text;
  byId("said").className = tone;
}

export async function act(action, name = "") {
  say(`hashlab ${action}${name ? ` ${name}` : ""} …`);
  awaited = true;
  try {
    const answer = await fetch("action", {
      method: "POST",
      headers: { "X-Hashlab": "1", "Content-Type": "application/json" },
      body: JSON.stringify({ action, name }),
    });
    if (answer.ok) return;
    awaited = false;
    say((await answer.json()).error, "bad");
  } catch {
    awaited = false;
    say("hashlab ui does not answer", "bad");
  }
}

// The page may be opened long after a run has ended; it is reported once, and only if it was seen to run.
export function showAction(action) {
  if (action.running) {
    awaited = true;
    say(`hashlab ${action.command} runs …`);
  } else if (awaited) {
    awaited = false;
    const next = action.next_step ? `. Next: ${action.next_step}` : "";
    say(action.code === 0 ? `hashlab ${action.command}: done` : `hashlab ${action.command} failed: ${action.what}${next}`,
      action.code === 0 ? "good" : "bad");
  }
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied: ${text}`, "good");
  } catch {
    say(`The browser does not let this page copy. Type: ${text}`, "warn");
  }
}

function ask({ title, text, yes, input, choices }) {
  const dialog = byId("ask");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  byId("ask-yes").disabled = choices !== undefined && choices.length === 0;
  byId("ask-label").hidden = input === undefined;
  byId("ask-name").textContent = input ?? "";
  byId("ask-input").value = "";
  byId("ask-input").setCustomValidity("");
  byId("ask-choices").replaceChildren(...(choices ?? []).map((choice, index) => element(
    "label", { class: "check" },
    element("input", { type: "radio", name: "choice", value: choice.value, checked: index === 0 }), ` ${choice.text}`,
  )));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const chosen = dialog.querySelector("input[name=choice]:checked")?.value;
      resolve(dialog.returnValue === "yes" ? (input === undefined ? chosen : byId("ask-input").value) : null);
    }, { once: true });
  });
}

async function snapshot() {
  const name = await ask({
    title: "Take a snapshot", yes: "Take it", input: "Name",
    text: "Saves all machines with their data. They pause for about a second.",
  });
  if (name) act("snapshot", name);
}

async function restore(state) {
  const answer = await fetch("snapshots");
  const found = answer.ok ? await answer.json() : { snapshots: [], problem: "hashlab ui does not answer" };
  const usable = found.snapshots.filter((each) => !each.note);
  const choices = usable.reverse().map((each) => ({ value: each.name, text: `${each.name}, taken ${clock(each.taken)}` }));
  const empty = found.problem ?? "The lab has no snapshot yet.";
  const name = await ask({
    title: "Restore a snapshot", yes: "Restore it", choices,
    text: choices.length ? "The machines and their data become those of the snapshot. Data that is newer is lost; your code stays as it is." : empty,
  });
  if (name) act("restore", name);
}

export function bindActions(state) {
  byId("refresh").addEventListener("click", () => act("refresh"));
  byId("snapshot").addEventListener("click", snapshot);
  byId("restore").addEventListener("click", () => restore(state));
  byId("ask-form").addEventListener("submit", (event) => {
    const input = byId("ask-input");
    if (event.submitter?.value !== "yes" || byId("ask-label").hidden || NAME.test(input.value)) return;
    event.preventDefault();
    input.setCustomValidity("Use a-z, 0-9, '_', '.' and '-', a letter or digit first");
    input.reportValidity();
  });
  byId("ask-input").addEventListener("input", () => byId("ask-input").setCustomValidity(""));
}
