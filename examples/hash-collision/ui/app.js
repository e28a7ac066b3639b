// Puts the page together: routes, header, footer, and what shows while a view loads or when it fails.

import { showAccount } from "./account.js";
import { showBuilds } from "./builds.js";
import { el, fill } from "./dom.js";
import { route, start } from "./router.js";
import { askView } from "./views/ask.js";
import { listView } from "./views/list.js";
import { logInView, registerView } from "./views/login.js";
import { missingView, problemView } from "./views/problem.js";
import { questionView } from "./views/question.js";
import { usersView } from "./views/users.js";

const LOADING_SHOWN_AFTER_MS = 150;

route("/", listView);
route("/questions", listView);
route("/questions/:id", questionView);
route("/ask", askView);
route("/users", usersView);
route("/login", logInView);
route("/register", registerView);

const content = document.getElementById("content");
let shown = new AbortController();
let firstPage = true;

async function show(view, place) {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  markMenu(place.path);
  // A page that comes at once must not flicker through "Loading".
  const loading = setTimeout(() => fill(content, el("p", { class: "loading", role: "status" }, "Loading …")), LOADING_SHOWN_AFTER_MS);
  const page = await made(view ?? missingView, place, signal);
  clearTimeout(loading);
  if (signal.aborted) return;
  fill(content, page);
  document.title = `${content.querySelector("h1").textContent} · Hash-Collision`;
  if (!firstPage) {
    window.scrollTo(0, 0);
    content.focus({ preventScroll: true });
  }
  firstPage = false;
}

async function made(view, place, signal) {
  try {
    return await view({ ...place, signal });
  } catch (error) {
    return signal.aborted ? null : problemView(error, () => show(view, place));
  }
}

function markMenu(path) {
  for (const link of document.querySelectorAll(".menu a")) {
    const inside = path.startsWith(link.getAttribute("href").slice(1));
    if (inside) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

document.getElementById("skip").addEventListener("click", (event) => {
  // The address after '#' is the route: jump by focus, not by fragment.
  event.preventDefault();
  content.focus();
});
showAccount(document.getElementById("account"));
showBuilds(document.getElementById("builds"));
start(show);
