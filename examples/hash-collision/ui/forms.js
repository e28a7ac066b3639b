// Forms: a labelled field, and sending with the button blocked and the failure shown inside the form.

import { el, fill } from "./dom.js";
import { logInPlace } from "./router.js";
import * as session from "./session.js";

/** control: an <input> or <textarea> with an id */
export function field(label, control, hint) {
  const hintId = `${control.id}-hint`;
  if (hint) control.setAttribute("aria-describedby", hintId);
  return el(
    "div",
    { class: "field" },
    el("label", { for: control.id }, label),
    control,
    hint && el("p", { class: "hint", id: hintId }, hint),
  );
}

/** A form that calls send(FormData) when submitted; what send throws is shown above the button. */
export function form({ id, action, send, fields }) {
  const problem = el("div", { class: "problem", role: "alert", hidden: true });
  const button = el("button", { type: "submit", class: "primary" }, action);
  const element = el("form", { class: "card form", id }, fields, problem, button);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    try {
      await send(new FormData(element));
    } catch (error) {
      fill(problem, explanation(error));
      problem.hidden = false;
      problem.scrollIntoView({ block: "nearest" });
    } finally {
      button.disabled = false;
    }
  });
  return element;
}

/** What went wrong, with the way to log in again where that helps. */
export function explanation(error) {
  if (!error.sessionEnded) return error.message;
  session.end();
  return [error.message, " ", el("a", { href: `#${logInPlace()}` }, "Log in")];
}
