/* Box: how it is, what it does, and what a person may change here. */

import { fill, h } from "./dom.js";
import { Refusal, ask, post, save } from "./api.js";
import { Chart } from "./chart.js";
import { can } from "./me.js";
import { confirmed, doing, show } from "./notices.js";
import { people } from "./people.js";
import { LANGUAGES, bytes, chooseLanguage, chosenLanguage, counted, known, moment, number, percent, span, t } from "./text.js";

const FAST = 2000;
const SLOW = 10000;
const RARE = 60000;
const ORDER = { critical: 0, warning: 1, note: 2, ok: 3 };

let place;
let cards = []; // {refresh, every, due}

export async function openBox(view) {
  if (!place) build(view);
  for (const each of cards) each.due = 0;
  await turn();
}

function build(view) {
  place = view;
  const made = [
    card("health", health, RARE, "see_box"),
    card("load", load, FAST, "see_box"),
    card("microphone", microphone, FAST, "see_box"),
    card("sending", sending, SLOW, "sync"),
    card("people", people, SLOW, "people"),
    card("storage", storage, SLOW, "see_box"),
    card("engine", engine, SLOW, "see_box"),
    card("certificate", certificate, RARE, "see_box"),
    card("clock", clockCard, SLOW, "see_box"),
    card("vocabulary", vocabulary, RARE, "see_box"),
    card("banned", banned, SLOW, "see_box"),
    card("audit", audit, RARE, "audit"),
    card("page", page, RARE, null),
  ].filter(Boolean);
  fill(view, h("h1", { class: "unseen", text: t("nav.box") }), h("div", { class: "cards" }, made.map(({ node }) => node)));
  cards = made;
  setInterval(() => {
    if (!view.hidden && document.visibilityState === "visible") turn();
  }, FAST);
}

async function turn() {
  const now = performance.now();
  status = null;
  await Promise.all(cards.filter((each) => each.due <= now && !each.busy).map(async (each) => {
    each.due = now + each.every;
    each.busy = true;
    try {
      await each.refresh();
      each.node.hidden = false;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if ([403, 404].includes(error.status)) each.node.hidden = true; // not of this box, or not for this account
      else if (![401, 423].includes(error.status)) fill(each.body, h("p", { class: "hint bad", text: error.message }));
    } finally {
      each.busy = false;
    }
  }));
}

/* `work(body, again)` fills the card; it may be called again and again. */
function card(name, work, every, permission) {
  if (permission && !can(permission)) return null;
  const body = h("div", { class: "card-body" });
  const node = h("section", { class: `card small ${name}`, "aria-labelledby": `card-${name}`, hidden: true },
    h("h2", { id: `card-${name}`, text: t(`box.${name}`) }), body);
  const state = {};
  const each = { node, body, every, due: 0 };
  each.refresh = () => work(body, () => each.refresh(), state);
  return each;
}

let status = null;
const boxStatus = () => (status ??= ask("/api/v1/status", { background: true }));

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value, bad]) => h("div", {}, h("dt", { text: name }), h("dd", { class: bad ? "bad" : null }, value))));
}

async function health(body, again) {
  const { checks } = await ask("/api/v1/checks", { background: true });
  const found = checks.filter(({ severity }) => severity !== "ok").sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
  const serious = found.filter(({ severity }) => severity !== "note").length;
  fill(body,
    h("p", { class: `verdict ${serious ? (found[0].severity === "critical" ? "critical" : "warning") : "ok"}`, role: "status", text: serious ? counted("health.wrong", serious) : t("health.well") }),
    serious > 0 && h("ul", { class: "findings" }, found.slice(0, serious).map(finding)),
    found.length > serious && h("details", {}, h("summary", { text: counted("health.notes", found.length - serious) }),
      h("ul", { class: "findings" }, found.slice(serious).map(finding))),
    h("details", {}, h("summary", { text: counted("health.fine", checks.length - found.length) }),
      h("ul", { class: "fine" }, checks.filter(({ severity }) => severity === "ok").map(({ title, reason }) => h("li", {}, h("strong", { text: title }), ` ${reason}`)))),
    doing(t("health.again"), again));
}

function finding({ title, severity, reason, remedy, command }) {
  return h("li", { class: `finding ${severity}` },
    h("h3", {}, h("span", { class: "severity", text: t(`severity.${severity}`) }), " ", title),
    h("p", { text: reason }), remedy && h("p", { text: remedy }), command && h("code", { text: command }));
}

async function load(body, _again, state) {
  const told = await boxStatus();
  if (!state.charts) {
    state.charts = {
      sessions: new Chart(t("load.sessions"), 4, (value) => number(value)),
      lag: new Chart(t("load.lag"), 2, (value) => `${number(value, 1)} s`),
      cpu: new Chart(t("load.cpu"), 1, percent),
      engine: new Chart(t("load.engine"), 1, percent),
    };
    fill(body, Object.values(state.charts).map(({ node }) => node));
  }
  const { charts } = state;
  charts.sessions.add(told.sessions.live);
  charts.lag.add(told.sessions.live ? told.load.lag_p95 : null); // without a visit there is no text to be late
  charts.engine.add(told.load.utilisation);
  if (told.cpu) {
    const at = performance.now() / 1000;
    if (state.cpu) charts.cpu.add(Math.max(0, (told.cpu.seconds - state.cpu.seconds) / (at - state.cpu.at) / told.cpu.cores));
    state.cpu = { seconds: told.cpu.seconds, at };
  } else {
    charts.cpu.node.hidden = true;
  }
}

async function microphone(body, again, state) {
  const told = await ask("/api/v1/microphone", { background: true });
  const { level } = told;
  const share = Math.max(0, Math.min(1, 1 + (level?.rms_dbfs ?? -60) / 60));
  state.bar ??= h("span", { class: "level-fill" });
  state.bar.style.transform = `scaleX(${told.state === "live" ? share.toFixed(3) : 0})`;
  if (state.drawn && state.testing) return;
  state.result ??= h("div", {});
  state.test ??= doing(t("microphone.test"), async () => {
    state.testing = true;
    fill(state.result, h("p", { class: "hint busy", role: "status", text: t("microphone.testing") }));
    try {
      state.result.replaceChildren(trial(await post("/api/v1/microphone/test")));
    } catch (error) {
      state.result.replaceChildren();
      throw error;
    } finally {
      state.testing = false;
    }
    await again();
  });
  state.drawn = true;
  fill(body,
    facts([
      [t("microphone.state"), words("microphone.state", told.state), told.state === "unavailable" || told.state === "stalled"],
      [t("microphone.device"), told.device?.name ?? "–"],
      told.devices?.length > 1 && [t("microphone.devices"), told.devices.map(({ name }) => name).join(", ")],
      told.session && [t("microphone.recording"), t("microphone.since", { since: moment(told.session.started_at, { timeStyle: "short" }) })],
    ]),
    h("div", { class: "level", "aria-hidden": "true" }, state.bar),
    told.remedy && h("p", { class: "remedy", text: told.remedy }),
    told.state === "live" && level?.silent && h("p", { class: "remedy", text: t("microphone.room_silent") }),
    can("record") && !told.session && state.test, state.result);
}

function trial({ level, lost_seconds: lost, speech_seconds: speech, text }) {
  const { rms_dbfs: rms, silent, clipping } = level;
  return h("p", { class: "hint", role: "status", text: [
    Number.isFinite(rms) && t("microphone.heard", { level: number(rms) }),
    silent && t("microphone.room_silent"),
    clipping && t("microphone.clipping"),
    lost > 0 && t("microphone.lost", { lost: number(lost, 1) }),
    text ? t("microphone.understood", { text }) : !silent && t(speech > 0 ? "microphone.not_understood" : "microphone.no_speech"),
  ].filter(Boolean).join(" ") });
}

const words = (group, name) => (known(`${group}.${name}`) ? t(`${group}.${name}`) : name ?? "–");

async function sending(body, again) {
  const [told, parked, waiting] = await Promise.all([
    ask("/api/v1/sync", { background: true }),
    ask("/api/v1/sync/items?state=parked&limit=20", { background: true }),
    ask("/api/v1/sync/items?state=pending&limit=20", { background: true }),
  ]);
  const { queue, state } = told;
  const act = (verb) => async () => {
    await post(`/api/v1/sync/${verb}`);
    await again();
  };
  fill(body,
    facts([
      [t("sending.state"), words("sending", state), state === "waiting"],
      state !== "off" && [t("sending.queue"), t("sending.counts", { waiting: number(queue.pending + queue.held + queue.in_flight), delivered: number(queue.delivered) })],
      queue.parked > 0 && [t("sending.parked"), number(queue.parked), true],
      told.oldest_seconds !== null && state !== "off" && [t("sending.oldest"), span(told.oldest_seconds)],
      told.last_success && [t("sending.success"), moment(told.last_success)],
      told.last_error && [t("sending.error"), `${moment(told.last_error_at)}: ${told.last_error}`, true],
    ]),
    state !== "off" && h("div", { class: "row" },
      state === "paused" ? doing(t("sending.resume"), act("resume"), { class: "main" }) : doing(t("sending.pause"), act("pause")),
      state !== "paused" && doing(t("sending.now"), act("run"))),
    [...parked.items, ...waiting.items].length > 0 && state !== "off" && h("ul", { class: "items" }, [...parked.items, ...waiting.items].map((item) => delivery(item, again))));
}

function delivery({ id, state, created_at: created, last_error: error, unread }, again) {
  const act = (verb) => async () => {
    await post(`/api/v1/sync/items/${encodeURIComponent(id)}/${verb}`);
    await again();
  };
  return h("li", { class: "item" },
    h("div", {}, h("strong", { text: moment(created) }), h("p", { class: state === "parked" ? "bad" : "hint", text: [t(`item.${unread ? "unread" : state}`), error].filter(Boolean).join(": ") })),
    h("div", { class: "row" }, !unread && doing(t("item.retry"), act("retry")), state !== "parked" && doing(t("item.park"), act("park"))));
}

async function storage(body, again) {
  const told = await boxStatus();
  let plan = null;
  if (can("run_box")) plan = await ask("/api/v1/purge", { background: true });
  const low = told.disk.free_bytes < told.disk.low_water_bytes * 2;
  fill(body, facts([
    [t("storage.free"), bytes(told.disk.free_bytes), low],
    [t("storage.low"), bytes(told.disk.low_water_bytes)],
    plan && [t("storage.goes"), number(plan.goes_in_all)],
    plan?.overdue_in_all > 0 && [t("storage.overdue"), number(plan.overdue_in_all), true],
    plan?.overdue_copies.length > 0 && [t("storage.copies"), plan.overdue_copies.join(", "), true],
  ]), plan?.goes_in_all > 0 && doing(t("storage.purge"), async () => {
    const sure = await confirmed({ title: t("storage.purge"), text: counted("storage.sure", plan.goes_in_all), yes: t("storage.purge"), danger: true });
    if (!sure) return;
    const done = await post("/api/v1/purge");
    show(counted("storage.purged", done.sessions));
    await again();
  }));
}

async function engine(body) {
  const { engine: told, version, uptime, load: { loop_delay_max: delay } } = await boxStatus();
  fill(body, facts([
    [t("engine.model"), told.model],
    [t("engine.lanes"), t("engine.lanes_of", { lanes: told.lanes, threads: told.threads })],
    [t("engine.work"), t("engine.work_of", { busy: told.busy, waiting: told.waiting })],
    told.failures > 0 && [t("engine.failures"), number(told.failures), true],
    [t("engine.tuned"), t(told.tuning ? "yes" : "engine.untuned")],
    [t("engine.delay"), `${number(delay * 1000)} ms`],
    [t("engine.version"), version],
    uptime !== undefined && [t("engine.uptime"), span(uptime)],
  ]));
}

async function certificate(body, again) {
  const told = await ask("/api/v1/certificate", { background: true });
  const ends = told.certificate?.ends;
  const soon = ends && new Date(ends) - Date.now() < 14 * 86400000;
  fill(body, facts([
    [t("certificate.source"), words("certificate", told.source)],
    ends && [t("certificate.ends"), moment(ends, { dateStyle: "medium" }), soon],
    told.addresses?.length > 0 && [t("certificate.addresses"), h("ul", { class: "plain" }, told.addresses.map((address) => h("li", {}, h("code", { text: address }))))],
  ]),
  (told.faults ?? []).map((fault) => h("p", { class: "remedy", text: typeof fault === "string" ? fault : fault.message ?? fault.reason })),
  told.authority?.sha256 && h("details", {}, h("summary", { text: t("certificate.print") }), h("code", { class: "print", text: told.authority.sha256 })),
  h("div", { class: "row" },
    h("a", { class: "button", href: "/ca", text: t("certificate.install") }),
    can("run_box") && told.source === "own" && doing(t("certificate.renew"), async () => {
      await post("/api/v1/certificate/renew");
      show(t("certificate.renewed"));
      await again();
    })));
}

async function clockCard(body) {
  const before = Date.now();
  const told = await ask("/api/v1/status", { background: true });
  const here = (before + Date.now()) / 2;
  const apart = Math.abs(new Date(told.clock.utc) - here) / 1000;
  fill(body, facts([
    [t("clock.box"), moment(told.clock.utc, { dateStyle: "medium", timeStyle: "medium" })],
    [t("clock.apart"), apart < 2 ? t("clock.same") : span(apart), apart > 60],
  ]), told.clock.doubt && h("p", { class: "remedy", text: t("clock.doubt", { doubt: told.clock.doubt }) }));
}

async function vocabulary(body, again) {
  const told = await ask("/api/v1/vocabulary", { background: true });
  fill(body, facts([
    [t("vocabulary.names"), number(told.count)],
    told.unusable_lines > 0 && [t("vocabulary.unusable"), number(told.unusable_lines), true],
  ]), can("run_box") && doing(t("vocabulary.reload"), async () => {
    const { count } = await post("/api/v1/vocabulary/reload");
    show(counted("vocabulary.read", count));
    await again();
  }));
}

async function banned(body, again) {
  const told = await ask("/api/v1/limits", { background: true });
  fill(body,
    told.banned.length === 0 && h("p", { class: "hint", text: t("banned.none") }),
    told.banned.length > 0 && h("ul", { class: "items" }, told.banned.map(({ address, reason, seconds_left: left }) => h("li", { class: "item" },
      h("div", {}, h("code", { text: address }), h("p", { class: "hint", text: `${reason}, ${span(left)}` })),
      can("run_box") && doing(t("banned.free"), async () => {
        await ask(`/api/v1/limits/${encodeURIComponent(address)}`, { method: "DELETE" });
        await again();
      })))));
}

async function audit(body, _again, state) {
  if (state.drawn) return;
  state.drawn = true;
  const verdict = h("p", { class: "hint", role: "status" });
  fill(body, h("p", { class: "hint", text: t("audit.text") }), verdict, h("div", { class: "row" },
    doing(t("audit.verify"), async () => {
      const told = await ask("/api/v1/audit/verify");
      verdict.className = told.broken_at === null ? "good" : "bad";
      verdict.textContent = told.broken_at === null ? counted("audit.whole", told.rows) : t("audit.broken", { number: told.broken_at, why: told.why });
    }),
    ["csv", "ndjson"].map((form) => doing(t(`audit.${form}`), () => save(`/api/v1/audit?format=${form}`, `audit.${form}`)))));
}

async function page(body, _again, state) {
  if (state.drawn) return;
  state.drawn = true;
  const choice = h("select", { id: "language", onchange: ({ currentTarget }) => chooseLanguage(currentTarget.value) },
    Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code, text: name })));
  choice.value = chosenLanguage();
  fill(body, h("div", { class: "field" }, h("label", { for: "language", text: t("page.language") }), choice),
    h("p", {}, h("a", { href: "websocket_test.html", text: t("page.engineer") })));
}
