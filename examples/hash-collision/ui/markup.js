// The little markup of posts: ``` fences, `code`, *emphasis* and paragraphs, as elements that hold plain text.

import { el } from "./dom.js";

const FENCE = /^```[^\n]*\n([\s\S]*?)\n?^```[ \t]*$/gm;

/** Nodes for the text of a post. */
export function rendered(text) {
  const nodes = [];
  let end = 0;
  for (const fence of text.matchAll(FENCE)) {
    nodes.push(...paragraphs(text.slice(end, fence.index)));
    nodes.push(el("pre", { tabindex: "0" }, el("code", {}, fence[1])));
    end = fence.index + fence[0].length;
  }
  nodes.push(...paragraphs(text.slice(end)));
  return nodes;
}

function paragraphs(text) {
  return text
    .split(/\n[ \t]*\n/)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => paragraph !== "")
    .map((paragraph) => el("p", {}, inline(paragraph)));
}

function inline(text) {
  // split() with one group gives plain text at even places and the code at odd ones.
  return text.split(/`([^`\n]+)`/).map((part, index) => (index % 2 === 1 ? el("code", {}, part) : emphasised(part)));
}

function emphasised(text) {
  // A star between spaces or letters is a star ("2 * 3", "a*b"); only *words in a pair of them* stand out.
  return text
    .split(/(?<![\w*])\*(?![\s*])([^*\n]*[^*\s])\*(?![\w*])/)
    .map((part, index) => (index % 2 === 1 ? el("em", {}, part) : part));
}
