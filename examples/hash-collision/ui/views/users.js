// Everybody, the best reputation first.

import * as api from "../api.js";
import { counted, el } from "../dom.js";

export async function usersView({ signal }) {
  const users = await api.users(signal);
  const ranked = [...users].sort((a, b) => b.reputation - a.reputation || a.name.localeCompare(b.name));
  return el(
    "div",
    {},
    el("div", { class: "headline" }, el("h1", {}, "Users")),
    el("p", { class: "total" }, counted(users.length, "user")),
    ranked.length > 0
      ? el("ol", { class: "people", id: "users" }, ranked.map(person))
      : el("p", { class: "card panel" }, "Nobody has registered yet."),
  );
}

function person({ name, reputation }) {
  return el("li", { class: "card person" }, el("span", { class: "who" }, name), el("span", { class: "reputation" }, reputation));
}
