// Asking a question.

import * as api from "../api.js";
import { el } from "../dom.js";
import { dropDraft, keepDraft } from "../drafts.js";
import { field, form } from "../forms.js";
import { go, logInPlace } from "../router.js";
import * as session from "../session.js";

const DRAFT = "ask";
const MOST_TAGS = 5;
const TAG = /^[a-z0-9-]{1,30}$/;

export async function askView() {
  if (session.current() === null) return invitation();
  const element = form({
    id: "ask-form",
    action: "Post the question",
    fields: [
      field(
        "Title",
        el("input", { id: "title", name: "title", required: true, minlength: 5, maxlength: 200 }),
        "One sentence that says what you want to know.",
      ),
      field(
        "Question",
        el("textarea", { id: "body", name: "body", required: true, maxlength: 20000, rows: 12 }),
        "What did you try, what did you expect, what happened? `code` in backticks, blocks between lines of ```.",
      ),
      field(
        "Tags",
        el("input", { id: "tags", name: "tags", autocapitalize: "none", spellcheck: "false" }),
        "At most five, with spaces between: java docker rabbitmq",
      ),
    ],
    send: async (data) => {
      const { id } = await api.ask(data.get("title").trim(), data.get("body").trim(), tagsOf(data.get("tags")));
      dropDraft(DRAFT);
      go(`/questions/${id}`);
    },
  });
  keepDraft(element, DRAFT);
  return el("div", { class: "narrow wide" }, el("h1", {}, "Ask a question"), element);
}

function invitation() {
  return el(
    "section",
    { class: "card panel" },
    el("h1", {}, "Ask a question"),
    el("p", {}, el("a", { href: `#${logInPlace()}` }, "Log in"), " or ", el("a", { href: `#${logInPlace("/register")}` }, "register"), " to ask."),
  );
}

function tagsOf(text) {
  const tags = [...new Set(text.toLowerCase().split(/[\s,]+/).filter((tag) => tag !== ""))];
  const wrong = tags.find((tag) => !TAG.test(tag));
  if (wrong !== undefined) {
    throw new api.ApiError(400, "invalid_tags", `“${wrong}” can't be a tag: up to 30 letters a to z, digits and hyphens.`);
  }
  if (tags.length > MOST_TAGS) throw new api.ApiError(400, "invalid_tags", `${tags.length} tags are too many: five at most.`);
  return tags;
}
