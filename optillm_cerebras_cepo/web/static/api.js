// Requests to the server. The client key is asked for when the server wants one, and kept in the session only.

import { byId } from "./dom.js";

const KEY = "cepo_cerebras_client_key";

/** An error of the server, or of the connection to it. */
export class ApiError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

let asking = null; // the question for a key; several requests wait for one answer

/** Let the user enter a key; resolve with whether there is one. */
function askForKey(message) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    byId("key-error").textContent = key.get() === null ? "" : message;
    byId("key").value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
    dialog.showModal();
  }).finally(() => (asking = null));
  return asking;
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(byId("key").value.trim());
  byId("forget-key").hidden = false;
  byId("key-dialog").close("given");
});
byId("key-cancel").addEventListener("click", () => byId("key-dialog").close());

/** Send a request; ask for a key as often as the server refuses it. Throws an ApiError. */
export async function send(path, { body, signal } = {}) {
  for (;;) {
    const used = key.get();
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    if (used !== null) headers.authorization = `Bearer ${used}`;
    let response;
    try {
      response = await fetch(path, {
        method: body === undefined ? "GET" : "POST",
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("The server cannot be reached.", "connection");
    }
    if (response.ok) return response;
    const failure = await errorOf(response);
    if (response.status !== 401 || failure.code !== "wrong_client_key") throw failure;
    // Another request may have asked for a key meanwhile.
    if (key.get() === used && !(await askForKey("The server does not accept this key."))) throw failure;
  }
}

async function errorOf(response) {
  try {
    const { error } = await response.json();
    return new ApiError(error.message, error.code ?? `status ${response.status}`);
  } catch {
    return new ApiError(`The server answered ${response.status}.`, `status ${response.status}`);
  }
}

let rendering = Promise.resolve(); // one after the other: the server renders few texts at once

/** Return the text of a model as HTML that is safe to show. */
export function render(text) {
  const next = rendering.then(async () => (await (await send("page/render", { body: { text } })).json()).html);
  rendering = next.catch(() => {});
  return next;
}

/** Ask, and yield each event of the stream as an object. Throws an ApiError, also one that the stream reports. */
export async function* stream(body, signal) {
  const response = await send("v1/chat/completions", { body: { ...body, stream: true }, signal });
  yield { request_id: response.headers.get("x-request-id") };
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      part = { done: true };
    }
    if (part.done) throw new ApiError("The connection to the server was lost.", "connection");
    const events = (text + part.value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      if (!event.startsWith("data: ")) continue;
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return;
      const found = JSON.parse(data);
      if (found.error) throw Object.assign(new ApiError(found.error.message, found.error.code), { body: found });
      yield found;
    }
  }
}
