// The corner of the header: log in, or one's name, reputation and the way out.

import { el, fill } from "./dom.js";
import { notice } from "./notices.js";
import * as reputation from "./reputation.js";
import { go, logInPlace } from "./router.js";
import * as session from "./session.js";

const REFRESH_MS = 5000;

let known = { name: null, reputation: null };

/** Draws the corner and keeps the reputation in it fresh. */
export function showAccount(place) {
  const draw = () => fill(place, session.current() ? member(session.current()) : visitor());
  const refresh = async () => {
    if (!session.current() || document.hidden) return;
    if (await learn()) draw();
  };
  session.onChange(() => {
    draw();
    refresh();
  });
  window.addEventListener("hashchange", refresh);
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, REFRESH_MS);
  draw();
  refresh();
}

function visitor() {
  return [
    el("a", { class: "button", href: "#/login", onclick: comeBack }, "Log in"),
    el("a", { class: "button primary", href: "#/register", onclick: comeBack }, "Register"),
  ];
}

function comeBack(event) {
  event.preventDefault();
  go(logInPlace(event.currentTarget.hash.slice(1)));
}

function member({ name }) {
  const value = known.name === name && known.reputation !== null ? known.reputation : "…";
  return [
    el("span", { class: "who", id: "who" }, name),
    el("span", { class: "reputation", id: "own-reputation", title: "Your reputation" }, value),
    el("button", { type: "button", id: "log-out", onclick: logOut }, "Log out"),
  ];
}

function logOut() {
  session.end();
  notice("You are logged out.");
}

/** Asks for the own reputation; true when the corner has to be drawn anew. */
async function learn() {
  const record = await reputation.own().catch(() => null);
  if (record === null || session.current()?.name !== record.name) return false;
  const before = known;
  known = { name: record.name, reputation: record.reputation };
  if (before.name === known.name && before.reputation === known.reputation) return false;
  if (before.name === known.name) notice(`Your reputation: ${before.reputation} → ${known.reputation}`, "good");
  return true;
}
