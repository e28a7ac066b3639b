// Text that was typed but not sent yet survives a log-in or a look at another page.

const drafts = new Map();

/** Keeps the form's fields under the key, now and while they are edited. */
export function keepDraft(form, key) {
  for (const [name, value] of Object.entries(drafts.get(key) ?? {})) {
    form.elements[name].value = value;
  }
  form.addEventListener("input", () => drafts.set(key, Object.fromEntries(new FormData(form))));
}

export function dropDraft(key) {
  drafts.delete(key);
}
