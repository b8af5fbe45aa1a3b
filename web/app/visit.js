/* One visit: its text, read and corrected before it is sent; what the centre answered; export and delete. */

import { fill, h, unique } from "./dom.js";
import { Refusal, ask, post, save, session } from "./api.js";
import { can } from "./me.js";
import { marksOf, names } from "./names.js";
import { confirmed, doing, notice, show } from "./notices.js";
import { gapItem, wordsOf } from "./paper.js";
import { chip, spoken } from "./visits.js";
import { clock, counted, moment, percent, t } from "./text.js";

const FORMS = { text: "txt", srt: "srt", vtt: "vtt", json: "json", fhir: "fhir.json" };
const LOOK_AGAIN_MS = 4000;

let visit = null; // of the one shown: {place, id, record, details, words, answers, editing, changed}

export async function openVisit(place, id, changedList) {
  if (visit?.id === id && visit.place === place) return;
  if (visit?.editing && visit.changed.size && !(await mayLeave())) {
    location.hash = `#visits/${encodeURIComponent(visit.id)}`;
    return;
  }
  visit = { place, id, changedList, editing: false, changed: new Map() };
  fill(place, h("p", { class: "hint busy", text: t("visit.loading") }));
  await load(visit);
}

const mayLeave = () => confirmed({ title: t("leave.title"), text: t("leave.text"), yes: t("leave.yes"), no: t("leave.no"), danger: true });

window.addEventListener("beforeunload", (event) => {
  if (visit?.editing && visit.changed.size) event.preventDefault();
});
window.addEventListener("hashchange", () => {
  if (location.hash === "#visits" && visit && !visit.editing) visit = null;
});

async function load(mine, background = false) {
  try {
    mine.record = await ask(session(mine.id), { background });
    if (mine.record.state !== "open") {
      [mine.words, mine.details, mine.answers] = await Promise.all([
        ask(`${session(mine.id)}/correction`, { background }),
        ask(`${session(mine.id)}/details`, { background }),
        ask(`${session(mine.id)}/answers`, { background }),
      ]);
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (mine === visit) fill(mine.place, back(), notice({ kind: "error", text: error.status === 404 ? t("visit.gone") : error.message }));
    return;
  }
  if (mine !== visit) return;
  draw();
  lookAgain(mine);
}

/* Only how it stands is asked for again: each reading of the text is a row in the audit, and drawing anew takes away the
   focus.  What a person is reading or writing changes only if the box's text has. */
function lookAgain(mine) {
  clearTimeout(mine.timer);
  const unfinished = mine.record.state === "open" || mine.record.refinement === "waiting";
  if (unfinished) mine.timer = setTimeout(() => look(mine), LOOK_AGAIN_MS);
}

const standing = ({ state, refinement, progress, reviewed_at: read }) => JSON.stringify([state, refinement, progress, read]);

async function look(mine) {
  if (mine !== visit || mine.editing) return; // who leaves the editing looks again
  let now = mine.record;
  if (!mine.place.hidden && document.visibilityState === "visible") {
    try {
      now = await ask(session(mine.id), { background: true });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 404) now = {}; // loading says that it is gone
    }
  }
  if (mine !== visit || mine.editing) return;
  if (standing(now) === standing(mine.record)) lookAgain(mine);
  else await load(mine, true);
}

function back() {
  return h("a", { class: "back", href: "#visits", text: t("visit.back") });
}

function draw() {
  const { place, record } = visit;
  const head = [
    back(),
    h("header", { class: "visit-head" },
      h("h1", { text: moment(record.connected_at) }),
      h("p", { class: "row" }, chip(record), h("span", { class: "hint", text: facts(record) }))),
  ];
  if (record.state === "open") {
    fill(place, head, notice({ kind: "info", text: t("visit.open") }));
    return;
  }
  fill(place, head, said(), banners(), tools(), missing(), body(), history());
}

function facts(record) {
  return [clock(spoken(record)), record.room, record.language === "auto" ? "" : record.language, record.model].filter(Boolean).join(" · ");
}

/* Encounter, patient, consent. */
function said() {
  const { encounter, patient, consent, withdrawal } = visit.details;
  const pairs = [
    encounter && [t("visit.encounter"), encounter],
    patient && [t("visit.patient"), patient],
    consent && [t("consent.title"), t("visit.consent", { by: consent.given_by, at: moment(consent.at), version: consent.version })],
    !consent && [t("consent.title"), t("visit.no_consent")],
  ].filter(Boolean);
  return h("dl", { class: "said" }, pairs.flatMap(([name, value]) => [h("dt", { text: name }), h("dd", { text: value })]),
    withdrawal && [h("dt", { text: t("visit.withdrawn") }), h("dd", { class: "bad", text: moment(withdrawal) })]);
}

function banners() {
  const { record, words, details } = visit;
  const found = [];
  if (record.state === "interrupted") found.push(notice({ kind: "warning", text: t("visit.interrupted") }));
  if (record.refinement === "waiting") found.push(notice({ kind: "info", text: t("visit.refining") }));
  if (record.progress === "attention") found.push(notice({ kind: "warning", text: t("visit.attention") }));
  if (details.withdrawal) found.push(notice({ kind: "warning", text: t("visit.withdrawn_text") }));
  if (record.progress === "review" && !visit.editing && can("amend")) {
    found.push(h("div", { class: "notice warning", role: "status" }, h("p", { text: t("visit.unread") }),
      doing(t("visit.approve"), approve, { class: "main", id: "approve" })));
  }
  if (!words.open && !visit.editing) found.push(h("p", { class: "hint", text: t("visit.sent") }));
  return h("div", { class: "notices" }, found);
}

async function approve() {
  const mine = visit;
  const { tier, revision } = mine.words; // what was read is what is on the screen
  try {
    await post(`${session(mine.id)}/review`, { tier, revision });
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "corrected_meanwhile") throw error;
    await again(mine);
    show(t("visit.changed_meanwhile"), "error");
    return;
  }
  show(t("visit.approved"));
  await again(mine);
}

async function again(mine) {
  if (mine === visit) await load(mine);
  mine.changedList();
}

function tools() {
  const { words, record, editing, details } = visit;
  if (editing) {
    return h("div", { class: "tools editing" },
      doing(t("edit.save"), keep, { class: "main", id: "edit-save" }),
      h("button", { id: "edit-cancel", text: t("cancel"), onclick: leave }),
      h("span", { class: "hint", role: "status", id: "edit-count" }));
  }
  const menu = h("details", { class: "menu" }, h("summary", { class: "button", text: t("export.title") }),
    h("div", { class: "menu-list" }, Object.keys(FORMS).map((form) => doing(t(`export.${form}`), async () => {
      await save(`${session(visit.id)}/transcript?format=${form}`, `visit-${visit.id}.${FORMS[form]}`);
      menu.open = false;
    }))));
  return h("div", { class: "tools" },
    can("amend") && words.open && words.lines.length > 0 && h("button", { id: "edit", text: t("edit.begin"), onclick: begin }),
    menu,
    can("amend") && details.consent && !details.withdrawal && doing(t("visit.withdraw"), withdraw, { class: "quiet" }),
    can("delete") && doing(t("delete.button"), () => remove(record), { class: "quiet bad", id: "delete" }));
}

async function withdraw() {
  const mine = visit;
  const sure = await confirmed({ title: t("withdraw.title"), text: t("withdraw.text"), yes: t("withdraw.yes"), danger: true });
  if (!sure) return;
  await ask(`${session(mine.id)}/details`, { method: "PATCH", body: { withdrawal: true } });
  await again(mine);
}

async function remove(record) {
  const mine = visit;
  const delivered = ["delivered", "answered"].includes(record.progress) || record.total_chunks === 0;
  const sure = await confirmed({
    title: t("delete.title"), text: t(delivered ? "delete.text" : "delete.undelivered"), yes: t("delete.yes"), danger: true,
  });
  if (!sure) return;
  await ask(`${session(mine.id)}${delivered ? "" : "?undelivered=1"}`, { method: "DELETE" });
  visit = null;
  window.addEventListener("hashchange", () => show(t("delete.done")), { once: true }); // a change of view clears notices
  location.hash = "#visits";
  mine.changedList();
}

/* ---- the text ---- */

function body() {
  const { words, editing } = visit;
  if (words.lines.length === 0) return h("p", { class: "hint empty", text: t("visit.wordless") });
  const { beside, loose } = placed(words.lines, visit.answers.answers);
  const items = [
    ...words.lines.map((line, i) => ({ at: line.start_time, node: () => (editing ? editor(line) : lineOf(line, beside.get(i))) })),
    ...(words.gaps ?? []).map((gap) => ({ at: gap.start_time, node: () => gapItem(gap) })),
  ].sort((a, b) => a.at - b.at);
  const answers = visit.answers.answers.length > 0;
  return [
    loose.length > 0 && h("section", { class: "loose", "aria-label": t("answers.loose") },
      h("h2", { text: t("answers.loose") }), loose.map(answerCard)),
    h("ol", { class: `lines sheet${answers && !editing ? " with-answers" : ""}` }, items.map(({ node }) => node())),
  ];
}

function lineOf(line, answers = []) {
  const changed = line.text !== line.heard;
  if (changed && line.text === "" && answers.length === 0) {
    return h("li", { class: "line taken" }, time(line), h("span", { class: "text" },
      h("span", { class: "unseen", text: t("edit.taken") }), h("del", { text: line.heard })));
  }
  const text = changed ? h("span", { class: "text", dir: "auto" }, line.text, " ", original(line.heard)) : wordsOf(line, marksOf(line));
  return h("li", { class: `line${changed ? " corrected" : ""}${answers.length ? " cited" : ""}` }, time(line), text,
    answers.length > 0 && h("div", { class: "answers" }, answers.map(answerCard)),
    can("amend") && visit.words.open && names(line, visit.id, (chosen) => send(new Map([[line.chunk_index, chosen]]))));
}

function original(heard) {
  return h("details", { class: "original" }, h("summary", { text: t("edit.corrected") }),
    h("p", {}, h("span", { class: "hint", text: t("edit.heard") }), " ", heard));
}

function time(line) {
  return h("span", { class: "time", text: clock(line.start_time) });
}

function begin() {
  visit.editing = true;
  visit.changed.clear();
  draw();
  visit.place.querySelector("textarea")?.focus();
}

async function leave() {
  if (visit.changed.size && !(await mayLeave())) return;
  visit.editing = false;
  visit.changed.clear();
  draw();
  await look(visit); // what came meanwhile was kept back
}

function editor(line) {
  const id = unique("line");
  const area = h("textarea", {
    id, rows: "1", dir: "auto", value: line.text, "aria-label": t("edit.line", { at: clock(line.start_time) }),
    oninput: () => {
      const text = area.value.replace(/\s+/g, " ").trim();
      if (text === line.text) visit.changed.delete(line.chunk_index);
      else visit.changed.set(line.chunk_index, text);
      item.classList.toggle("corrected", text !== line.heard);
      undo.hidden = text === line.heard;
      visit.place.querySelector("#edit-count").textContent = visit.changed.size ? counted("edit.changed", visit.changed.size) : "";
      fit();
    },
  });
  const fit = () => {
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + 2}px`;
  };
  const undo = h("button", {
    class: "quiet", text: t("edit.undo"), hidden: line.text === line.heard, "aria-label": t("edit.undo_line", { at: clock(line.start_time) }),
    onclick: () => {
      area.value = line.heard;
      area.dispatchEvent(new Event("input"));
      area.focus();
    },
  });
  const item = h("li", { class: `line edit${line.text === line.heard ? "" : " corrected"}` }, time(line), h("div", { class: "editor" }, area, undo));
  let width = 0;
  new ResizeObserver(() => { // a tablet that is turned: no line may be cut off
    if (area.clientWidth !== width) requestAnimationFrame(fit);
    width = area.clientWidth;
  }).observe(area);
  return item;
}

const keep = () => send(visit.changed);

/* Makes these the texts of their lines, by `chunk_index`; the others stay as they are. */
async function send(changed) {
  const mine = visit;
  const { words } = mine;
  const lines = words.lines
    .map(({ chunk_index: index, heard, text }) => ({ chunk_index: index, heard, text: changed.get(index) ?? text }))
    .filter(({ heard, text }) => text !== heard)
    .map(({ chunk_index, text }) => ({ chunk_index, text }));
  mine.words = await ask(`${session(mine.id)}/correction`, {
    method: "PUT", body: { tier: words.tier, revision: words.revision, lines },
  });
  mine.editing = false;
  mine.changed.clear();
  show(t("edit.saved"));
  await again(mine);
}

function history() {
  const { history: revisions } = visit.words;
  if (revisions.length === 0 && !visit.record.reviewed_at) return null;
  return h("section", { class: "history" }, h("h2", { text: t("history.title") }),
    h("ol", {}, revisions.map(({ revision, at, actor, lines }) => h("li", {
      text: t("history.revision", { revision, at: moment(at), actor: actor === "client" ? t("history.box") : actor, lines: counted("history.lines", lines.length) }),
    })),
    visit.record.reviewed_at && h("li", { text: t("history.reviewed", { at: moment(visit.record.reviewed_at) }) })));
}

/* ---- what the centre answered ---- */

function missing() {
  const { answers, record } = visit;
  const found = [];
  if (record.progress === "delivered" && answers.status === "waiting") found.push(h("p", { class: "hint busy", text: t("answers.waiting") }));
  if (answers.missing.length) {
    found.push(h("section", { class: "missing" }, h("h2", { text: t("answers.missing") }),
      h("ul", {}, answers.missing.map(({ question }) => h("li", { dir: "auto", text: question })))));
  }
  return found;
}

function answerCard({ question, answer, confidence, confident, review, others, snippet }) {
  return h("article", { class: `answer${review || !confident ? " doubtful" : ""}` },
    h("h3", { dir: "auto", text: question }),
    h("p", { class: "answer-text", dir: "auto", text: answer }),
    h("p", { class: "hint", text: [t("answers.sure", { share: percent(confidence) }), (review || !confident) && t("answers.check")].filter(Boolean).join(" · ") }),
    others?.length > 0 && h("p", { class: "hint", text: t("answers.others", { others: others.map((other) => other.answer).join("; ") }) }),
    snippet && h("p", { class: "unseen", text: t("answers.from", { snippet }) }));
}

/* Each answer beside the line in which its passage begins.  Case, marks and white space do not count: the centre may have
   put them in order. */
export function placed(lines, answers) {
  const plain = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  let whole = "";
  const begins = lines.map(({ text }) => {
    const at = whole.length;
    whole += `${plain(text)} `;
    return at;
  });
  const beside = new Map();
  const loose = [];
  for (const answer of answers) {
    const passage = plain(answer.snippet ?? "");
    const few = passage.split(" ").slice(0, 6).join(" ");
    const at = [passage, few].filter((text) => text.length > 7).map((text) => whole.indexOf(text)).find((place) => place >= 0) ?? -1;
    if (at < 0) {
      loose.push(answer);
      continue;
    }
    const line = begins.findLastIndex((begin) => begin <= at);
    beside.set(line, [...(beside.get(line) ?? []), answer]);
  }
  return { beside, loose };
}
