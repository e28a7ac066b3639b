// The REST API of the three services as functions. Every failure is an ApiError with words for people.

import * as session from "./session.js";

const PATIENCE_MS = 15000;

export class ApiError extends Error {
  /** status 0 means that no answer came at all. */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  get sessionEnded() {
    return this.status === 401 && this.code !== LOGIN_REFUSED;
  }
}

const LOGIN_REFUSED = "login_refused";

export async function register(name, password) {
  return post("/api/auth/registrations", { name, password });
}

export async function logIn(name, password) {
  try {
    return await post("/api/auth/sessions", { name, password });
  } catch (error) {
    if (error.status === 401) throw new ApiError(401, LOGIN_REFUSED, "This name and password don't go together.");
    throw error;
  }
}

export async function users(signal) {
  return (await get("/api/user/users", signal)).users;
}

export async function user(id, signal) {
  return get(`/api/user/users/${id}`, signal);
}

/** search: {q, tag, page}, each optional. */
export async function questions(search, signal) {
  const parameters = new URLSearchParams(Object.entries(search).filter(([, value]) => value));
  return get(`/api/qa/questions?${parameters}`, signal);
}

export async function question(id, signal) {
  return get(`/api/qa/questions/${encodeURIComponent(id)}`, signal);
}

export async function ask(title, body, tags) {
  return post("/api/qa/questions", { title, body, tags });
}

export async function answer(questionId, body) {
  return post(`/api/qa/questions/${questionId}/answers`, { body });
}

/** kind: "questions" or "answers"; value: 1 or -1. */
export async function vote(kind, id, value) {
  return post(`/api/qa/${kind}/${id}/votes`, { value });
}

export async function accept(answerId) {
  return post(`/api/qa/answers/${answerId}/acceptance`, {});
}

export async function health(service) {
  return get(`/api/${service}/health`);
}

function get(path, signal) {
  return call(path, { method: "GET" }, signal);
}

function post(path, data) {
  return call(path, {
    method: "POST",
    body: JSON.stringify(data),
    headers: { "Content-Type": "application/json" },
  });
}

async function call(path, options, signal) {
  const token = session.current()?.token;
  const headers = { Accept: "application/json", ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await send(path, { ...options, headers }, signal);
  const data = await response.json().catch(() => null);
  if (response.ok && data !== null) return data;
  throw failure(response.status, data?.error);
}

async function send(path, options, signal) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    return await fetch(path, { ...options, signal: signal ? AbortSignal.any([signal, patience]) : patience });
  } catch (error) {
    if (signal?.aborted) throw error;
    const message = patience.aborted
      ? "No answer came in time. Try again in a moment."
      : "The server can't be reached. Check that the lab is running and that you are connected.";
    throw new ApiError(0, "unreachable", message);
  }
}

function failure(status, told) {
  if (status === 401) return new ApiError(status, told?.code, "Your session has ended. Log in again to go on.");
  if (status === 413) return new ApiError(status, told?.code, "This text is too long to be sent.");
  if ([502, 503, 504].includes(status)) {
    return new ApiError(status, "starting", "A service is still starting. Try again in a few seconds.");
  }
  if (told?.message) return new ApiError(status, told.code, told.message);
  return new ApiError(status, "unexpected", `The server gave an answer that makes no sense here (HTTP ${status}).`);
}
