// Short messages at the foot of the page, read aloud by screen readers.

import { el } from "./dom.js";

const SHOWN_MS = 7000;

/** kind: "good", "bad" or "plain" */
export function notice(text, kind = "plain") {
  const element = el("div", { class: `notice ${kind}` }, el("span", {}, text));
  element.append(el("button", { type: "button", class: "close", "aria-label": "Dismiss", onclick: () => element.remove() }, "×"));
  const place = document.getElementById("notices");
  place.append(element);
  while (place.children.length > 3) place.firstElementChild.remove();
  setTimeout(() => element.remove(), SHOWN_MS);
}
