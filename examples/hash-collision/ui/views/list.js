// The list of questions: search, tag, pages.

import * as api from "../api.js";
import { counted, el, timeAgo } from "../dom.js";
import { address, go } from "../router.js";

export async function listView({ query, signal }) {
  const search = { q: query.get("q") ?? "", tag: query.get("tag") ?? "", page: query.get("page") ?? "" };
  const found = await api.questions(search, signal);
  return el(
    "div",
    {},
    el(
      "div",
      { class: "headline" },
      el("h1", {}, heading(search)),
      el("a", { class: "button primary", id: "ask", href: "#/ask" }, "Ask a question"),
    ),
    searchForm(search),
    el("p", { class: "total", id: "total" }, counted(found.total, "question")),
    found.questions.length > 0 ? el("ol", { class: "card list", id: "questions" }, found.questions.map(row)) : empty(search),
    pages(search, found),
  );
}

function heading({ q, tag }) {
  if (q && tag) return `“${q}” in [${tag}]`;
  if (q) return `“${q}”`;
  if (tag) return `Questions in [${tag}]`;
  return "All questions";
}

function searchForm({ q, tag }) {
  const form = el(
    "form",
    { class: "search", role: "search", id: "search" },
    el("label", { class: "unseen", for: "search-q" }, "Words"),
    el("input", { id: "search-q", name: "q", type: "search", placeholder: "Search in questions …", value: q, maxlength: 200 }),
    el("label", { class: "unseen", for: "search-tag" }, "Tag"),
    el("input", { id: "search-tag", name: "tag", placeholder: "tag", value: tag, maxlength: 30, autocapitalize: "none" }),
    el("button", { type: "submit" }, "Search"),
    (q || tag) && el("a", { class: "button", id: "clear", href: "#/questions" }, "Clear"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = new FormData(form);
    go(address("/questions", { q: wanted.get("q").trim(), tag: wanted.get("tag").trim().toLowerCase() }).slice(1));
  });
  return form;
}

function row(question) {
  return el(
    "li",
    { class: "row" },
    el(
      "div",
      { class: "numbers" },
      el("span", { class: "number" }, counted(question.score, "vote")),
      el(
        "span",
        { class: `number answers ${question.accepted ? "accepted" : question.answers > 0 ? "some" : "none"}` },
        question.accepted && el("span", { class: "check", role: "img", "aria-label": "solved" }, "✓ "),
        counted(question.answers, "answer"),
      ),
    ),
    el(
      "div",
      { class: "summary" },
      el("h2", {}, el("a", { href: `#/questions/${question.id}` }, question.title)),
      el("div", { class: "line" }, tags(question.tags), el("span", { class: "by" }, question.author_name, " · ", timeAgo(question.created))),
    ),
  );
}

/** The tags as links to the questions that carry them. */
export function tags(names) {
  return el(
    "ul",
    { class: "tags", "aria-label": "Tags" },
    names.map((name) => el("li", {}, el("a", { class: "tag", href: address("/questions", { tag: name }) }, name))),
  );
}

function empty({ q, tag }) {
  const words = q || tag ? "Nothing was found. Try other words, or another tag." : "Nobody has asked anything yet. Be the first.";
  return el("p", { class: "card panel", id: "empty" }, words);
}

function pages(search, { page, pages: last }) {
  if (last <= 1) return null;
  const link = (number, text, attributes = {}) =>
    el("a", { class: "page-link", href: address("/questions", { ...search, page: number > 1 ? number : "" }), ...attributes }, text);
  return el(
    "nav",
    { class: "pages", "aria-label": "Pages" },
    page > 1 && link(page - 1, "‹ Newer", { rel: "prev" }),
    numbersAround(page, last).map((number) =>
      number === null
        ? el("span", { class: "gap", "aria-hidden": "true" }, "…")
        : link(number, number, { "aria-label": `Page ${number}`, "aria-current": number === page && "page" }),
    ),
    page < last && link(page + 1, "Older ›", { rel: "next" }),
  );
}

/** First, last and the neighbours; null stands for a gap. */
function numbersAround(page, last) {
  const wanted = [1, page - 1, page, page + 1, last].filter((number) => number >= 1 && number <= last);
  const numbers = [...new Set(wanted)].sort((a, b) => a - b);
  return numbers.flatMap((number, index) => (index > 0 && number - numbers[index - 1] > 1 ? [null, number] : [number]));
}
