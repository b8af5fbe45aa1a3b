/* The recording under way, if there is one: who records (the room's microphone or this device's), where it stands, what
   has been said.  It lives as long as the page, whatever view is open.

   idle -> starting -> recording <-> paused -> stopping -> ended -> idle */

import { Refusal, ask, onceIn, post, session as sessionPath, socketAddress } from "./api.js";
import { KEPT_AT_MOST, Link } from "./link.js";
import { Microphone, MicrophoneProblem } from "./sound.js";
import { t } from "./text.js";

const KEPT = "ambientd.recording"; // in sessionStorage: it ends with the tab, as its token should
const QUERY = { partials: 1, acks: 1, refined: 1 };
const KEEP_ALIVE_MS = 20000;
const RELISTEN_MS = 1000;
const LOCKED_MS = 15000; // a locked page is told when it is unlocked; this is for when it was not
const PAGES_OWN = new Set(["taken_over", "session_exists", "unauthenticated", "locked", "too_slow", "too_many_requests"]);

const listeners = new Set();

export const recorder = {
  phase: "idle",
  source: null, // "device" | "room"
  id: "",
  ephemeral: false,
  lines: [], // {kind: "line" | "gap" | "break", ...message}
  partial: null,
  level: null, // {rms, peak} in dBFS
  problems: new Map(), // key -> {key, kind, text, again}
  outcome: null, // of one that has ended: {id, seconds, reason, refined}
};

/* `act(what)` hears of changes: "phase", "line", "partial", "level", "problem", "lines". */
export function watch(act) {
  listeners.add(act);
}

function tellAll(what) {
  for (const act of listeners) act(what);
}

export const busy = () => !["idle", "ended"].includes(recorder.phase);

function setPhase(phase) {
  recorder.phase = phase;
  tellAll("phase");
}

function problem(key, kind, values = {}, again = null) {
  const text = t(key, values);
  if (recorder.problems.get(key)?.text === text) return;
  recorder.problems.set(key, { key, kind, text, again });
  tellAll("problem");
}

function well(key) {
  if (recorder.problems.delete(key)) tellAll("problem");
}

function begin(source, ephemeral) {
  Object.assign(recorder, { source, ephemeral, id: "", lines: [], partial: null, level: null, outcome: null });
  recorder.problems.clear();
  tellAll("problem");
  tellAll("lines");
  setPhase("starting");
}

let link = null;
let microphone = null;
let ear = null; // the socket that listens to the room's microphone
let counted = { seconds: 0, at: null }; // the room's recorded time; `at`: since when it runs
let wakeLock = null;

/* Seconds recorded so far. */
export function elapsed() {
  if (recorder.source === "device") return link?.seconds ?? 0;
  return counted.seconds + (counted.at === null ? 0 : (performance.now() - counted.at) / 1000);
}

/* ---- this device's microphone ---- */

export async function startDevice({ deviceId, wishes, ephemeral }) {
  begin("device", ephemeral);
  await openDevice(deviceId, wishes, ephemeral, null);
}

async function openDevice(deviceId, wishes, ephemeral, before) {
  let opened = false;
  microphone = new Microphone(deviceId, {
    pcm: (buffer) => {
      if (recorder.phase === "recording" || recorder.phase === "stopping") link?.send(buffer);
    },
    level: (level) => setLevel(level && { rms: decibels(level.rms), peak: decibels(level.peak) }),
    missed: (seconds) => {
      if (opened) link?.lose(Math.round(seconds * 16000));
    },
    problem: (key, again) => problem(key, "warning", {}, again),
    well,
  });
  try {
    await microphone.open();
  } catch (error) {
    microphone = null;
    if (!(error instanceof MicrophoneProblem)) throw error;
    setPhase("idle");
    throw error;
  }
  if (recorder.phase !== "starting") { // given up while a person was asked
    await microphone.end();
    microphone = null;
    return;
  }
  link = new Link(
    {
      message: heard,
      opened: (id, token) => {
        recorder.id = id;
        keep({ id, token, deviceId, ephemeral, wishes });
        if (recorder.phase === "starting") {
          opened = true;
          microphone.begin();
          setPhase("recording");
        }
      },
      up: () => ["connection.lost", "connection.unlock"].forEach(well),
      shut: () => {
        well("connection.lost");
        problem("connection.unlock", "warning", { minutes: Math.floor(KEPT_AT_MOST / 32000 / 60) });
      },
      down: () => problem("connection.lost", "warning", { minutes: Math.floor(KEPT_AT_MOST / 32000 / 60) }),
      lost: (seconds) => problem("connection.gap", "warning", { seconds: Math.round(seconds) }),
      moved: (id) => {
        recorder.lines.push({ kind: "break", session_id: id });
        tellAll("lines");
        problem("connection.second", "info");
      },
      over,
    },
    wishes,
    { ...QUERY, ...(ephemeral && { ephemeral: 1 }) },
  );
  link.start(before);
  stayAwake();
}

function setLevel(level) {
  recorder.level = level;
  tellAll("level");
}

const decibels = (share) => 20 * Math.log10(Math.max(share, 1e-6));

/* ---- the room's microphone ---- */

export async function startRoom({ details, language, ephemeral }) {
  begin("room", ephemeral);
  let answer;
  try {
    answer = await post("/api/v1/microphone/start", { ...details, ...(language && { language }), ephemeral });
  } catch (error) {
    setPhase("idle");
    throw error;
  }
  listen(answer.session_id);
}

/* Joins what the room's microphone records already, however it was begun. */
export function joinRoom({ session_id: id, ephemeral = false }) {
  begin("room", ephemeral);
  listen(id);
}

async function listen(id) {
  recorder.id = id;
  const turn = {};
  ear = turn;
  const away = (shut) => {
    const again = () => { if (ear === turn) listen(id); };
    well(shut ? "connection.room" : "connection.locked");
    problem(shut ? "connection.locked" : "connection.room", "warning");
    setTimeout(again, shut ? LOCKED_MS : RELISTEN_MS);
    if (shut) onceIn(again);
  };
  let address;
  try {
    address = await socketAddress(`/ws/listen/${encodeURIComponent(id)}`, { refined: 1 });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    away(error.status === 423 || error.status === 401);
    return;
  }
  if (turn !== ear) return;
  const socket = new WebSocket(address);
  turn.close = (code) => socket.close(code);
  let fault = "";
  socket.onmessage = ({ data }) => {
    if (turn !== ear) return;
    turn.heard = true;
    const message = JSON.parse(data);
    if (message.type === "error") fault = message.code;
    heard(message);
  };
  socket.onclose = ({ code, reason }) => {
    if (turn !== ear) return;
    // The room's microphone needs no page: only the box's word that the session is over ends it here.
    turn.heard = false;
    if (recorder.outcome || fault === "no_such_session") {
      ear = null;
      over(code, reason, fault);
    } else {
      away(false); // where it was locked, the next try is told so
    }
  };
}

function count({ state, elapsed_seconds: seconds }) {
  counted = { seconds: seconds ?? counted.seconds, at: state === "recording" ? performance.now() : null };
  if (recorder.phase === "starting" || recorder.phase === "recording" || recorder.phase === "paused") {
    const phase = state === "paused" ? "paused" : "recording";
    if (phase !== recorder.phase) setPhase(phase);
  }
}

/* ---- what the box says ---- */

const HEARD = {
  listening(message) {
    recorder.lines = [];
    recorder.partial = null;
    ["connection.room", "connection.locked"].forEach(well);
    tellAll("lines");
    tellLater(message);
    count(message);
  },
  transcript(message) {
    if (recorder.partial && !(recorder.partial.start_time >= message.end_time)) recorder.partial = null;
    // A returning page is told lines again from the first on.
    const part = recorder.lines.slice(recorder.lines.findLastIndex(({ kind }) => kind === "break") + 1);
    if (part.some(({ kind, chunk_index: index }) => kind === "line" && index === message.chunk_index)) return;
    recorder.lines.push({ kind: "line", ...message });
    tellAll("line");
  },
  gap(message) {
    recorder.lines.push({ kind: "gap", ...message });
    tellAll("line");
  },
  partial(message) {
    recorder.partial = message.text ? message : null;
    tellAll("partial");
  },
  microphone(message) {
    const { rms_dbfs: rms = -120, peak_dbfs: peak = -120, silent } = message.level ?? {};
    setLevel(message.level ? { rms, peak } : null);
    if (message.state === "live" || message.state === "off") well("microphone.room");
    else if (message.remedy) problem("microphone.room", "warning", { remedy: message.remedy });
    if (silent && recorder.phase === "recording") problem("microphone.room_silent", "warning");
    else well("microphone.room_silent");
  },
  connected: tellLater,
  recording(message) {
    if (recorder.source === "room") count(message);
  },
  error({ code, message }) {
    if (!PAGES_OWN.has(code)) problem("told", "error", { message: message ?? code });
  },
  session_ended(message) {
    const seconds = elapsed();
    forget();
    recorder.partial = null;
    const lines = recorder.lines.filter(({ kind }) => kind === "line").length;
    recorder.outcome = {
      id: recorder.id, seconds, lines, reason: message.reason ?? "client", refined: lines ? "waiting" : "none",
      ephemeral: recorder.ephemeral,
    };
    closeMicrophone();
    finish();
  },
  refined(message) {
    if (recorder.outcome) recorder.outcome.refined = message.state;
    tellAll("phase");
  },
};

/* The box keeps the sound and writes when it is idle: nobody should wait for words that do not come. */
function tellLater({ later }) {
  if (later) problem("recording.later", "info");
}

function heard(message) {
  if (Object.hasOwn(HEARD, message.type)) HEARD[message.type](message);
}

/* The connection is over for good. */
function over(code, reason, fault) {
  forget();
  closeMicrophone();
  if (recorder.outcome) {
    if (recorder.outcome.refined === "waiting") recorder.outcome.refined = "later";
    tellAll("phase");
    return;
  }
  if (recorder.phase === "starting") {
    setPhase("idle");
    problem(reasonKey(code, fault), "error", { reason });
    return;
  }
  if (fault === "taken_over") problem("connection.taken", "warning");
  recorder.outcome = { id: recorder.id, seconds: elapsed(), lines: recorder.lines.length, reason: fault || "closed", refined: "later" };
  finish();
}

function reasonKey(code, fault) {
  if (fault === "session_exists") return "resume.gone";
  if (code === 1013) return "start.full";
  if (code === 1006) return "start.unreachable";
  return "start.refused";
}

function finish() {
  if (counted.at !== null) counted = { seconds: elapsed(), at: null };
  setLevel(null);
  ["connection.lost", "connection.unlock", "connection.room", "connection.locked", "microphone.room", "microphone.room_silent"].forEach(well);
  wakeLock?.release();
  wakeLock = null;
  setPhase("ended");
}

function closeMicrophone() {
  const ending = microphone;
  microphone = null;
  ending?.end();
}

/* ---- orders ---- */

export async function pause() {
  if (recorder.phase !== "recording") return;
  if (recorder.source === "room") {
    count((await post("/api/v1/microphone/pause")).session ?? {});
    return;
  }
  await microphone.pause();
  setPhase("paused");
  link.pause(true);
}

export async function resume() {
  if (recorder.phase !== "paused") return;
  if (recorder.source === "room") {
    count((await post("/api/v1/microphone/resume")).session ?? {});
    return;
  }
  link.pause(false);
  setPhase("recording");
  await microphone.resume();
}

export async function stop() {
  if (!busy() || recorder.phase === "stopping") return;
  const before = recorder.phase;
  if (before === "starting" && !link && recorder.source === "device") {
    setPhase("idle");
    return;
  }
  setPhase("stopping");
  if (recorder.source === "room") {
    try {
      await post("/api/v1/microphone/stop");
    } catch (error) {
      setPhase(before);
      throw error;
    }
    if (!ear?.heard && busy()) { // nobody tells this page, and the box's answer came after the end
      ear = null;
      HEARD.session_ended({ reason: "stopped" });
      over(1000, "", "");
    }
    return;
  }
  const ending = microphone;
  microphone = null;
  await ending?.end(); // its last samples go before the order
  link.end();
}

/* Destroys what was recorded: nothing of it is kept. */
export async function discard() {
  const { id, source } = recorder;
  if (source === "room") {
    await post("/api/v1/microphone/discard");
  } else {
    await post(`${sessionPath(id)}/discard`);
  }
  forget();
  link?.drop();
  const listening = ear;
  ear = null;
  listening?.close?.(1000);
  closeMicrophone();
  finish();
  clear();
}

/* Back to the form of a new visit. */
export function clear() {
  link = null;
  ear?.close?.(1000);
  ear = null;
  recorder.lines = [];
  recorder.partial = null;
  recorder.outcome = null;
  recorder.problems.clear();
  counted = { seconds: 0, at: null };
  tellAll("lines");
  tellAll("problem");
  setPhase("idle");
}

/* ---- a page closed by accident ---- */

function keep(what) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(what));
  } catch {
    // then a reopened page cannot go on; the session ends after its grace time
  }
}

function forget() {
  try {
    sessionStorage.removeItem(KEPT);
  } catch {
    // nothing was kept either
  }
}

/* What this tab recorded before it was closed or reloaded, or null. */
export function leftBehind() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

export async function goOn(before) {
  begin("device", before.ephemeral);
  await openDevice(before.deviceId, before.wishes, before.ephemeral, before);
}

export async function giveUp(before) {
  forget();
  try {
    await post(`/api/v1/websocket/sessions/${encodeURIComponent(before.id)}/end`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error; // it has ended by itself
  }
}

window.addEventListener("beforeunload", (event) => {
  if (recorder.source === "device" && busy()) event.preventDefault();
});

setInterval(() => {
  if (recorder.phase === "paused" && link?.live) link.say("ping"); // a long pause is not a client that died
}, KEEP_ALIVE_MS);

async function stayAwake() {
  if (!navigator.wakeLock || document.visibilityState !== "visible") return;
  try {
    wakeLock = await navigator.wakeLock.request("screen");
  } catch {
    // low battery: the system decides; sound missed while it sleeps becomes a marked gap
  }
}
document.addEventListener("visibilitychange", () => {
  if (recorder.source === "device" && busy()) stayAwake();
});
