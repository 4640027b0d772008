// The list of the last requests: open one, or export its trace.

import { send } from "./api.js";
import { byId, dollars, make, many, seconds } from "./dom.js";
import { RunView } from "./run.js";

/** What this tab asked, `{question, effort}` by request id: the server keeps no questions. */
export const asked = new Map();

const items = new Map(); // elements of the list by the trace's id: an open one stays open

/** Show the list anew. Returns the ids of its requests. */
export async function refresh() {
  const note = byId("no-requests");
  let listedIds = [];
  try {
    const { requests } = await (await send("page/requests")).json();
    const listed = requests.map((request) => items.get(request.id) ?? itemOf(request));
    items.clear();
    requests.forEach((request, index) => items.set(request.id, listed[index]));
    byId("requests").replaceChildren(...listed);
    note.textContent = requests.length ? "" : "None yet.";
    listedIds = requests.map((request) => request.request_id);
  } catch (error) {
    note.textContent = error.message;
  }
  return listedIds;
}

/** Show the list until it contains these requests: the server notices a moment later that one was stopped. */
export async function refreshUntil(ids) {
  for (let tries = 0; tries < 10; tries += 1) {
    const listed = await refresh();
    if (ids.every((id) => listed.includes(id))) return;
    await new Promise((done) => setTimeout(done, 300));
  }
}

function itemOf(request) {
  const started = new Date(request.started);
  const { question = "", effort } = { ...asked.get(request.request_id), ...(request.effort ? request : {}) };
  const name = `${effort ?? "request"} of ${started.toLocaleTimeString("en-GB")}`;
  const failure = request.error ?? (request.status === 200 ? "" : `status ${request.status}`);
  const cells = [
    ["time", started.toLocaleTimeString("en-GB")],
    ["effort", effort ?? "–"],
    ["figure", seconds(request.seconds)],
    ["figure", many(request.calls ?? 0, "call")],
    ["figure", dollars(request.cost)],
    ["rest", [failure, question].filter(Boolean).join(": ")],
  ];
  const item = make("li");
  const open = make(
    "button",
    {
      type: "button",
      class: "open",
      "aria-expanded": "false",
      "aria-label": cells.map(([, text]) => text).join(", "),
      onclick: () => guarded(toggle),
    },
    ...cells.map(([kind, text]) => make("span", { class: kind, text })),
  );
  async function toggle() {
    const shown = item.querySelector("article");
    open.setAttribute("aria-expanded", String(!shown));
    if (shown) shown.remove();
    else item.append((await viewOf(request, name, question)).element);
  }
  const exports = [["JSON", ""], ["HTML", ".html"]].map(([kind, ending]) =>
    make("button", {
      type: "button",
      class: "quiet",
      text: kind,
      "aria-label": `Export ${name} as ${kind}`,
      onclick: () => guarded(() => save(request.id, ending)),
    }),
  );
  item.append(open, make("span", { class: "exports" }, ...exports));
  return item;
}

async function guarded(action) {
  try {
    await action();
    byId("no-requests").textContent = "";
  } catch (error) {
    byId("no-requests").textContent = error.message;
  }
}

async function viewOf(request, name, question) {
  const trace = await (await send(`page/requests/${request.id}`)).json();
  const view = new RunView(name, question);
  view.show(trace);
  return view;
}

/** Save a trace as a file. Its HTML is not shown in this origin: a browser may only store it. */
async function save(id, ending) {
  const response = await send(`page/requests/${id}${ending}`);
  const blob = new Blob([await response.arrayBuffer()], { type: "application/octet-stream" });
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: `trace-${id}${ending || ".json"}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
