/* Visits: the list, narrowed and searched. */

import { fill, h, labelled } from "./dom.js";
import { Refusal, ask, post } from "./api.js";
import { doing } from "./notices.js";
import { openVisit } from "./visit.js";
import { clock, counted, dayOf, moment, t } from "./text.js";

export const PROGRESS = ["recording", "unheard", "review", "waiting", "delivered", "answered", "attention", "recorded"];
const PAGE = 50;
const REFRESH_MS = 15000;

let place;
let list;
let wanted = "";
let searched = null; // what the last search found, or null
let shown = []; // rows
let next = null;
let chosen = "";
let total = 0;

export async function openVisits(view, [id]) {
  if (!place) build(view);
  chosen = id ?? "";
  place.classList.toggle("one", chosen !== "");
  mark();
  const detail = place.querySelector(".visit");
  if (chosen) await openVisit(detail, chosen, refresh);
  else fill(detail, h("p", { class: "hint empty", text: t("visits.choose") }));
  if (shown.length === 0 || !chosen) await refresh();
}

function build(view) {
  place = view;
  const words = h("input", { type: "search", id: "search", maxlength: "200", autocomplete: "off", spellcheck: "false" });
  const form = h("form", {
    class: "search", role: "search",
    onsubmit: async (event) => {
      event.preventDefault();
      await search(words.value);
    },
  }, labelled(t("visits.search"), words), h("button", { text: t("visits.find") }));
  words.addEventListener("search", () => { if (words.value === "") search(""); });
  const filter = h("select", { id: "filter", onchange: ({ currentTarget }) => { wanted = currentTarget.value; search(""); words.value = ""; } },
    h("option", { value: "", text: t("progress.all") }),
    PROGRESS.map((name) => h("option", { value: name, text: t(`progress.${name}`) })));
  list = h("div", { class: "visit-list" });
  view.classList.add("visits");
  fill(view,
    h("section", { class: "list-pane", "aria-labelledby": "visits-title" },
      h("h1", { id: "visits-title", text: t("visits.title") }),
      form, labelled(t("visits.show"), filter), list),
    h("section", { class: "visit", "aria-live": "off" }));
  setInterval(() => {
    if (!view.hidden && document.visibilityState === "visible" && searched === null && shown.length <= PAGE) refresh();
  }, REFRESH_MS);
}

async function refresh() {
  if (searched !== null) return;
  try {
    const page = await ask(`/api/v1/sessions?limit=${PAGE}${wanted && `&progress=${wanted}`}`, { background: true });
    ({ sessions: shown, next, total } = page);
    draw();
  } catch (error) {
    tellFault(error);
  }
}

async function more() {
  const page = await ask(`/api/v1/sessions?limit=${PAGE}&before=${encodeURIComponent(next)}${wanted && `&progress=${wanted}`}`);
  shown.push(...page.sessions);
  next = page.next;
  draw();
}

async function search(text) {
  // Words in quotes belong together.
  const words = [...text.matchAll(/"([^"]+)"|(\S+)/g)].map(([, phrase, word]) => (phrase ?? word).trim()).filter(Boolean).slice(0, 10);
  searched = words.length ? words : null;
  if (searched === null) {
    await refresh();
    return;
  }
  fill(list, h("p", { class: "hint busy", text: t("visits.searching") }));
  try {
    shown = (await post("/api/v1/sessions/search", { words, limit: 50 })).sessions;
    next = null;
    draw();
  } catch (error) {
    tellFault(error);
  }
}

function tellFault(error) {
  if (!(error instanceof Refusal)) throw error;
  if ([401, 423].includes(error.status)) return;
  if (shown.length === 0) fill(list, h("p", { class: "hint bad", text: error.message }));
}

function draw() {
  const rows = [];
  let day = "";
  for (const record of shown) {
    const of = dayOf(record.connected_at);
    if (of !== day) rows.push(h("h2", { class: "day", text: of }));
    day = of;
    rows.push(row(record));
  }
  if (rows.length === 0) rows.push(h("p", { class: "hint empty", text: t(searched ? "visits.none_found" : wanted ? "visits.none_such" : "visits.none") }));
  if (searched) rows.unshift(h("p", { class: "hint", role: "status", text: counted("visits.found", shown.length) }));
  if (next) rows.push(doing(t("visits.more"), more), h("p", { class: "hint", text: t("visits.of", { shown: shown.length, total }) }));
  fill(list, rows);
  mark();
}

function row(record) {
  return h("a", { class: "visit-row", href: `#visits/${encodeURIComponent(record.session_id)}`, "data-id": record.session_id },
    h("span", { class: "visit-time", text: moment(record.connected_at, { timeStyle: "short" }) }),
    h("span", { class: "visit-facts", text: [clock(spoken(record)), record.room].filter(Boolean).join(" · ") }),
    chip(record),
    record.passage && h("span", { class: "passage", dir: "auto", text: record.passage }));
}

export const spoken = (record) => (record.metrics?.received_samples ?? 0) / 16000;

export function chip({ progress, ephemeral }) {
  if (ephemeral) return h("span", { class: "chip", text: t("progress.ephemeral") });
  return h("span", { class: `chip ${progress}`, text: t(`progress.${progress}`) });
}

function mark() {
  for (const link of list?.querySelectorAll(".visit-row") ?? []) {
    if (link.dataset.id === chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

