// Votes and acceptance on the page of a question, and the reputation that follows them through the queue.

import * as api from "../api.js";
import { el, fill } from "../dom.js";
import { explanation } from "../forms.js";
import { notice } from "../notices.js";
import * as reputation from "../reputation.js";
import { go, logInPlace } from "../router.js";
import * as session from "../session.js";

/**
 * The controls of all posts of one question.
 * reputations: Map of user id to reputation, kept up to date as votes move them.
 */
export function postActions(question, reputations, signal) {
  const cards = new Map(); // user id to the elements that show this user's reputation

  function author(item) {
    const value = el("span", { class: "reputation" }, reputations.get(item.author_id) ?? "");
    cards.set(item.author_id, [...(cards.get(item.author_id) ?? []), value]);
    return el("span", { class: "author" }, el("span", { class: "who" }, item.author_name), value);
  }

  function votes(kind, item) {
    const score = el("output", { class: "score", "aria-label": "Score" }, item.score);
    const own = session.wrote(item);
    const problem = el("p", { class: "post-problem", role: "alert", hidden: true });
    const arrow = (value, sign, label) => {
      const button = el("button", { type: "button", class: "arrow", "data-value": value, "aria-label": label, disabled: own, title: own ? "Your own post" : label }, sign);
      button.addEventListener("click", () => attempt(problem, button, () => castVote(kind, item, value, score)));
      return button;
    };
    return el(
      "div",
      { class: "votes" },
      arrow(1, "▲", "Vote up"),
      score,
      arrow(-1, "▼", "Vote down"),
      kind === "answers" && acceptance(item, problem),
      problem,
    );
  }

  function acceptance(item, problem) {
    if (item.accepted) return el("span", { class: "mark-accepted", role: "img", "aria-label": "Accepted answer", title: "Accepted answer" }, "✓");
    if (!session.wrote(question)) return null;
    const button = el("button", { type: "button", class: "accept", title: "Accept this answer" }, "Accept");
    button.addEventListener("click", () => attempt(problem, button, () => acceptAnswer(item)));
    return button;
  }

  async function castVote(kind, item, value, score) {
    const before = await reputationOf(item);
    const result = await api.vote(kind, item.id, value);
    score.textContent = result.score;
    if (result.score === item.score) return notice("Your vote was already counted.");
    item.score = result.score;
    await follow(item, before);
  }

  async function acceptAnswer(item) {
    const before = await reputationOf(item);
    await api.accept(item.id);
    await follow(item, before);
    go(`/questions/${question.id}`);
  }

  /** Shows the change of the author's reputation once it has come through the queue. */
  async function follow(item, before) {
    if (before === null) return;
    const change = await reputation.moved(item.author_id, before, signal).catch(() => null);
    if (signal.aborted) return;
    if (change === null) return notice(`The vote counts, but ${item.author_name}'s reputation has not changed so far.`);
    reputations.set(item.author_id, change.after);
    for (const card of cards.get(item.author_id) ?? []) showChange(card, change);
    notice(`${item.author_name}: reputation ${change.before} → ${change.after} (after ${change.milliseconds} ms)`, "good");
  }

  async function reputationOf(item) {
    // A vote must count even while the user service is away; then there is no change to show.
    return api.user(item.author_id, signal).then(
      (user) => user.reputation,
      () => null,
    );
  }

  return { author, votes };
}

function showChange(card, { before, after }) {
  fill(card, el("span", { class: "before" }, before), " → ", el("span", { class: "after" }, after));
  card.classList.add(after > before ? "rose" : "fell");
}

async function attempt(problem, button, action) {
  problem.hidden = true;
  if (session.current() === null) return go(logInPlace());
  button.disabled = true;
  try {
    await action();
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(problem, explanation(error));
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
}
