// What shows in place of a page that could not be had.

import { el } from "../dom.js";
import { explanation } from "../forms.js";

export async function missingView() {
  return panel("There is no such page", ["The address leads nowhere. ", el("a", { href: "#/questions" }, "All questions")]);
}

/** again: called by the button */
export function problemView(error, again) {
  if (error.status === 404) {
    return panel("There is no such page", [error.message, " ", el("a", { href: "#/questions" }, "All questions")]);
  }
  if (error.status === undefined) throw error; // a mistake in this program, not an answer of the server
  const button = el("button", { type: "button", class: "primary", id: "again", onclick: again }, "Try again");
  return panel("This did not work", explanation(error), button);
}

function panel(title, words, ...more) {
  return el("section", { class: "card panel" }, el("h1", {}, title), el("p", { role: "alert" }, words), more);
}
