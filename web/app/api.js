/* What the page asks of the box. */

import { me } from "./me.js";
import { t } from "./text.js";

export class Refusal extends Error {
  /* `status` 0: the box was not reached.  The message is for people, `code` for this page. */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let lockedOut = () => {};

/* `act(refusal)` is called whenever the box asks who this is. */
export function onLockedOut(act) {
  lockedOut = act;
}

const waiting = new Set();

/* `act` is called when somebody is let in again: what was refused to a locked page is asked for then. */
export function onceIn(act) {
  waiting.add(act);
}

export function letIn() {
  const acts = [...waiting];
  waiting.clear();
  for (const act of acts) act();
}

export async function ask(path, { method = "GET", body, headers = {}, quiet = false, background = false } = {}) {
  if (background) headers = { ...headers, "Ambientd-Background": "1" }; // nobody is at work: it keeps no log-in awake
  let answer;
  try {
    answer = await fetch(path, {
      method,
      credentials: "same-origin",
      headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refusal(0, "unreachable", t("error.unreachable"));
  }
  const told = await answer.json().catch(() => null);
  if (answer.ok) return told;
  const refusal = new Refusal(answer.status, told?.code ?? "http", words(answer.status, told));
  refusal.fields = told ?? {};
  if ([401, 423].includes(answer.status) && !quiet) lockedOut(refusal); // 423: locked while nobody touched it
  throw refusal;
}

function words(status, told) {
  if (status === 403) return t("error.forbidden");
  if (typeof told?.detail === "string" && told.detail) return told.detail;
  return t("error.status", { status });
}

export const post = (path, body) => ask(path, { method: "POST", body: body ?? {} });

export const session = (id) => `/api/v1/sessions/${encodeURIComponent(id)}`;

/* The address of a WebSocket.  Over the network it is opened by a ticket that is good for once: a cookie alone would go
   along with any page's. */
export async function socketAddress(path, query = {}) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  if (!me.local) {
    const { ticket } = await ask("/api/v1/tickets", { method: "POST", body: { purpose: path.split("/")[2] }, background: true });
    url.searchParams.set("ticket", ticket);
  }
  return url.href;
}

/* Saves what is at `path` as a file, after the box has said yes. */
export async function save(path, name) {
  const answer = await fetch(path, { credentials: "same-origin" });
  if (!answer.ok) throw new Refusal(answer.status, "http", words(answer.status, await answer.json().catch(() => null)));
  const address = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
