/* Now: a new visit, the visit under way, and what became of it. */

import { fill, h, labelled } from "./dom.js";
import { Refusal, ask } from "./api.js";
import { doing, notice } from "./notices.js";
import { Paper } from "./paper.js";
import {
  busy, clear, giveUp, goOn, joinRoom, leftBehind, recorder, startDevice, startRoom, watch,
} from "./recorder.js";
import { MicrophoneProblem, microphones, unavailable } from "./sound.js";
import { clock, counted, moment, spokenClock, t } from "./text.js";

const LOOK_EVERY_MS = 4000;
const LANGUAGES = ["auto", "en", "de", "es", "fr", "it", "pt", "nl", "pl", "tr", "ru", "uk", "ar", "zh"];

let form; // the elements of the form, by name
let room = null; // what GET /api/v1/microphone said, or null
let abandoned = null; // what this tab recorded before
let problems;
let paper;

export async function buildNow(place) {
  problems = h("div", { class: "notices", id: "problems" });
  const live = h("section", { class: "live", "aria-labelledby": "live-title" },
    h("h1", { id: "live-title", class: "unseen", text: t("now.live") }));
  paper = new Paper(live);
  const waiting = h("p", { class: "waiting" });
  live.append(waiting);
  const start = buildForm();
  const done = h("section", { class: "card done" });
  fill(place, problems, start, live, done);

  const showPhase = () => {
    const { phase } = recorder;
    start.hidden = phase !== "idle";
    live.hidden = !busy();
    done.hidden = phase !== "ended";
    place.classList.toggle("full", busy());
    if (phase === "ended") fill(done, outcome());
    if (phase === "idle") look();
    showWaiting();
  };
  const showWaiting = () => {
    const spoken = recorder.lines.length > 0 || recorder.partial;
    waiting.hidden = Boolean(spoken);
    waiting.textContent = t(recorder.phase === "recording" ? "now.listening" : `now.${recorder.phase}`);
  };
  watch((what) => {
    if (what === "phase") showPhase();
    if (what === "lines") paper.all(recorder.lines);
    if (what === "line") {
      paper.add(recorder.lines);
      paper.partial(recorder.partial);
    }
    if (what === "partial") paper.partial(recorder.partial);
    if (what === "line" || what === "partial") showWaiting();
    if (what === "problem") fill(problems, [...recorder.problems.values()].map(asNotice));
  });
  abandoned = leftBehind();
  showPhase();
  setInterval(() => {
    if (recorder.phase === "idle" && !place.hidden && document.visibilityState === "visible") look();
  }, LOOK_EVERY_MS);
}

function asNotice({ kind, text, again }) {
  return notice({ kind, text, action: again && { label: t("continue"), act: again } });
}

/* ---- a new visit ---- */

function buildForm() {
  const radio = (value) => h("input", { type: "radio", name: "source", value, id: `source-${value}`, onchange: showSource });
  form = {
    room: radio("room"),
    device: radio("device"),
    roomState: h("p", { class: "hint", id: "room-state" }),
    deviceState: h("p", { class: "hint", id: "device-state" }),
    deviceId: h("select", { id: "device-id", "aria-label": t("now.device_choice") }),
    encounter: h("input", { id: "encounter", type: "text", maxlength: "200", autocomplete: "off", spellcheck: "false" }),
    consent: h("input", { type: "checkbox", id: "consent", "aria-describedby": "consent-text consent-error" }),
    given: h("select", { id: "given-by" },
      ["patient", "parent", "guardian", "representative"].map((who) => h("option", { value: t(`consent.by.${who}`), text: t(`consent.by.${who}`) }))),
    consentError: h("p", { class: "field-error", id: "consent-error", role: "alert" }),
    language: h("select", { id: "spoken" },
      h("option", { value: "", text: t("now.language_box") }),
      LANGUAGES.map((code) => h("option", { value: code, text: t(`language.${code}`) }))),
    ephemeral: h("input", { type: "checkbox", id: "ephemeral" }),
    go: doing(t("now.start"), begin, { class: "start", id: "start" }),
    again: h("div", { class: "notices" }),
    busy: h("div", { class: "notices" }),
    note: h("div", { class: "notices", id: "start-note" }),
  };
  form.device.checked = true;
  form.consent.addEventListener("change", () => form.consentError.replaceChildren());
  navigator.mediaDevices?.addEventListener?.("devicechange", fillDevices);
  fillDevices();
  const card = h("section", { class: "card start-card", "aria-labelledby": "start-title" },
    form.again, form.busy,
    h("h1", { id: "start-title", text: t("now.title") }),
    h("fieldset", {}, h("legend", { text: t("now.microphone") }),
      h("div", { class: "choices" },
        choice(form.room, t("now.room"), form.roomState),
        choice(form.device, t("now.device"), form.deviceState, form.deviceId))),
    labelled(t("now.encounter"), form.encounter, t("now.encounter_hint")),
    h("fieldset", { class: "consent" }, h("legend", { text: t("consent.title") }),
      h("p", { id: "consent-text", text: t("consent.text") }),
      h("div", { class: "consent-row" },
        h("label", { class: "check" }, form.consent, h("span", { text: t("consent.given") })),
        h("div", { class: "by" }, h("label", { for: "given-by", text: t("consent.by") }), form.given)),
      form.consentError),
    h("details", {}, h("summary", { text: t("now.more") }),
      labelled(t("now.language"), form.language),
      h("label", { class: "check" }, form.ephemeral, h("span", { text: t("now.ephemeral") })),
      h("p", { class: "hint", text: t("now.ephemeral_hint") })),
    form.note,
    form.go);
  return card;
}

function choice(input, words, state, extra = null) {
  input.setAttribute("aria-describedby", state.id);
  return h("div", { class: "choice" }, h("label", { class: "check" }, input, h("span", { text: words })), state, extra);
}

async function fillDevices() {
  const never = unavailable();
  form.device.disabled = Boolean(never);
  form.deviceState.textContent = never ? t(never) : "";
  form.deviceState.className = never ? "hint bad" : "hint";
  const found = never ? [] : await microphones();
  const before = form.deviceId.value;
  fill(form.deviceId, h("option", { value: "", text: t("now.device_usual") }),
    found.map(({ deviceId, label }, i) => h("option", { value: deviceId, text: label || t("now.device_n", { n: i + 1 }) })));
  form.deviceId.value = found.some(({ deviceId }) => deviceId === before) ? before : "";
  showSource();
}

function showSource() {
  form.deviceId.hidden = !form.device.checked || form.device.disabled;
  for (const input of [form.room, form.device]) input.closest(".choice")?.classList.toggle("chosen", input.checked);
  if (form.go) form.go.disabled = !(form.room.checked && !form.room.disabled) && !(form.device.checked && !form.device.disabled);
}

/* What the room's microphone is doing; `null` where this box has none to offer. */
async function look() {
  showAgain();
  try {
    room = await ask("/api/v1/microphone", { quiet: true, background: true });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    room = null;
    form.roomState.textContent = error.status === 0 ? error.message : t("now.room_none");
    form.room.closest(".choice").hidden = error.status === 404; // a box that knows of none
  }
  if (recorder.phase !== "idle") return;
  const never = room === null || room.state === "unavailable";
  const first = !form.looked && room !== null;
  form.looked = form.looked || room !== null;
  form.room.disabled = never;
  form.roomState.className = never ? "hint bad" : "hint";
  if (room !== null) form.roomState.textContent = never ? (room.remedy ?? t("now.room_none")) : (room.device?.name ?? t("now.room_ready"));
  // The room's microphone hears both people and outlives the tablet: the better choice where there is one.
  if (first && !never) form.room.checked = true;
  if (never && !form.device.disabled) form.device.checked = true;
  showSource();
  fill(form.busy, room?.session && notice({
    kind: "warning", text: t("now.room_busy", { since: moment(room.session.started_at, { timeStyle: "short" }) }),
    // Of somebody else's visit no more is told than that there is one.
    action: room.session.session_id && { label: t("now.join"), act: () => joinRoom(room.session) },
  }));
}

function showAgain() {
  fill(form.again, abandoned && notice({
    kind: "warning", text: t("resume.text"),
  }), abandoned && h("div", { class: "row" },
    doing(t("resume.go_on"), async () => {
      const before = abandoned;
      abandoned = null;
      await attempt(() => goOn(before));
    }, { class: "main", id: "go-on" }),
    doing(t("resume.end"), async () => {
      const before = abandoned;
      abandoned = null;
      await giveUp(before);
      showAgain();
    })));
}

async function begin() {
  if (!form.consent.checked) {
    form.consentError.textContent = t("consent.needed");
    form.consent.focus();
    return;
  }
  const encounter = form.encounter.value.trim();
  const details = {
    ...(encounter && { encounter }),
    consent: { given_by: form.given.value, version: t("consent.version"), at: new Date().toISOString() },
  };
  const language = form.language.value;
  const ephemeral = form.ephemeral.checked;
  await attempt(() => (form.room.checked
    ? startRoom({ details, language, ephemeral })
    : startDevice({ deviceId: form.deviceId.value, wishes: { ...details, ...(language && { language }) }, ephemeral })));
}

async function attempt(act) {
  fill(form.note);
  try {
    await act();
    fillDevices(); // names are told only after permission
    // Of the next patient nothing is known yet: what was said of this one must not stay in the form.
    form.encounter.value = "";
    form.consent.checked = false;
    form.ephemeral.checked = false;
  } catch (error) {
    const known = error instanceof MicrophoneProblem || error instanceof Refusal;
    if (!known) throw error;
    const text = error instanceof MicrophoneProblem ? t(error.message) : error.message;
    fill(form.note, notice({ kind: "error", text }));
  }
}

/* ---- after the end ---- */

function outcome() {
  const { id, seconds, lines, reason, refined, ephemeral } = recorder.outcome ?? {};
  const fine = ["client", "rest", "stopped"].includes(reason);
  const state = ephemeral ? t("done.ephemeral") : t(`done.refined.${refined ?? "later"}`);
  return [
    h("h1", { text: t("done.title") }),
    h("p", { class: "big" }, h("span", { "aria-label": spokenClock(seconds), text: clock(seconds) }), " · ", counted("done.lines", lines ?? 0)),
    !fine && notice({ kind: "warning", text: t(`reason.${["idle", "silence", "max_duration", "disconnect", "shutdown"].includes(reason) ? reason : "other"}`) }),
    h("p", { class: refined === "waiting" ? "hint busy" : "hint", role: "status", text: state }),
    h("div", { class: "row" },
      h("button", { class: "main", text: t("done.new"), onclick: clear }),
      !ephemeral && lines > 0 && h("a", { class: "button", href: `#visits/${id}`, text: t("done.review") })),
  ];
}

