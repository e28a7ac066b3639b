// One question with its answers: reading, voting, accepting, answering.

import * as api from "../api.js";
import { counted, el, timeAgo } from "../dom.js";
import { dropDraft, keepDraft } from "../drafts.js";
import { field, form } from "../forms.js";
import { rendered } from "../markup.js";
import { go, logInPlace } from "../router.js";
import * as session from "../session.js";
import { tags } from "./list.js";
import { postActions } from "./voting.js";

export async function questionView({ parameters, signal }) {
  const [question, users] = await Promise.all([
    api.question(parameters.id, signal),
    // Reading must not depend on the user service: without it the reputations are left out.
    api.users(signal).catch(() => []),
  ]);
  const reputations = new Map(users.map((user) => [user.id, user.reputation]));
  const actions = postActions(question, reputations, signal);
  const answers = [...question.answers].sort((a, b) => b.accepted - a.accepted || b.score - a.score || a.id - b.id);
  return el(
    "div",
    {},
    el(
      "div",
      { class: "headline" },
      el("h1", {}, question.title),
      el("a", { class: "button primary", href: "#/ask" }, "Ask a question"),
    ),
    el("article", { class: "card post question" }, post("questions", question, actions, tags(question.tags))),
    el("h2", { class: "answers-title", id: "answers-title" }, counted(answers.length, "answer")),
    answers.length === 0 && el("p", { class: "aside" }, "No answer yet."),
    answers.map((answer) =>
      el(
        "article",
        { class: `card post answer${answer.accepted ? " accepted" : ""}`, "data-answer": answer.id },
        post("answers", answer, actions),
      ),
    ),
    session.current() === null ? invitation() : answerForm(question),
  );
}

function post(kind, item, actions, more = null) {
  return [
    actions.votes(kind, item),
    el(
      "div",
      { class: "content" },
      el("div", { class: "text" }, rendered(item.body)),
      more,
      el(
        "div",
        { class: "signature" },
        el("span", { class: "when" }, kind === "questions" ? "asked " : "answered ", timeAgo(item.created)),
        actions.author(item),
      ),
    ),
  ];
}

function answerForm(question) {
  const draft = `answer-${question.id}`;
  const element = form({
    id: "answer-form",
    action: "Post the answer",
    fields: [
      field(
        "Your answer",
        el("textarea", { id: "answer", name: "body", required: true, maxlength: 20000, rows: 7 }),
        "`code` in backticks, blocks between lines of ```.",
      ),
    ],
    send: async (data) => {
      await api.answer(question.id, data.get("body").trim());
      dropDraft(draft);
      go(`/questions/${question.id}`);
    },
  });
  keepDraft(element, draft);
  return element;
}

function invitation() {
  return el(
    "p",
    { class: "card panel", id: "invitation" },
    el("a", { href: `#${logInPlace()}` }, "Log in"),
    " or ",
    el("a", { href: `#${logInPlace("/register")}` }, "register"),
    " to answer and to vote.",
  );
}
