"use strict";

/* The page itself: which state it is in, which buttons that leaves, and who tells whom.

   idle -> opening -> connected <-> (starting -> streaming <-> paused) -> ending -> idle */

const $ = (id) => document.getElementById(id);

const BACKLOG_SECONDS = 30;
const BYTES_PER_SECOND = 2 * RATE;
const PING_EVERY_MS = 10000;
const END_PATIENCE_MS = 20000; // the service itself promises to finish within 20 s

const STATE_WORDS = {
  idle: "Not connected",
  opening: "Connecting …",
  connected: "Connected",
  starting: "Starting the sound …",
  streaming: "Recording",
  paused: "Paused",
  ending: "Ending …",
};

/* For each state the buttons that work in it. */
const USABLE = {
  idle: ["start", "connect"],
  opening: ["end"],
  connected: ["start", "end", "ping", "info"],
  starting: ["end", "ping", "info"],
  streaming: ["pause", "end", "ping", "info"],
  paused: ["pause", "end", "ping", "info"],
  ending: ["end"],
};
const END_LABELS = { opening: "Cancel", ending: "Close without waiting" };

const notices = new Notices($("notices"));
const log = new MessageLog($("log-list"), $("log-count"));
const meter = new LevelMeter($("meter"), $("meter-bar"), $("meter-words"));
const transcript = new Transcript({
  box: $("transcript"), list: $("lines"), open: $("open"), latest: $("latest"), empty: $("empty"),
});

let state = "idle";
let connection = null; // of the session shown, kept after its end for its figures
let source = null; // Microphone or AudioFile while there is one
let choosing = false; // while a person is asked for the microphone, or a file is decoded
let greeted = null; // ends the wait for the `connected` message, come or not
let session = newSession();

function newSession() {
  return { id: "", frameBytes: 8192, chunks: 0, lastMs: null, totalMs: 0, behind: null, ended: false, cancelled: false };
}

function setState(next) {
  state = next;
  document.body.dataset.state = next;
  $("state").textContent = next === "idle" && session.ended ? "Session ended" : STATE_WORDS[next];
  for (const id of ["start", "connect", "pause", "end", "ping", "info"]) {
    $(id).disabled = !USABLE[next].includes(id) || (choosing && (id === "start" || id === "connect"));
  }
  $("end").textContent = END_LABELS[next] ?? "End session";
  $("pause").textContent = next === "paused" ? "Resume" : "Pause";
  document.title = `${{ streaming: "● ", paused: "‖ " }[next] ?? ""}ambientd: live transcription`;
  $("server").disabled = next !== "idle";
  $("sound").disabled = next !== "idle" && next !== "connected";
  if (next === "starting" && matchMedia("(max-width: 899px)").matches) $("settings").open = false;
}

/* ---- connection ---- */

function connect() {
  let address;
  try {
    address = sessionAddress($("address").value.trim(), $("session-id").value.trim(), $("partials").checked);
    connection = new Connection(address, {
      message: receive,
      closed,
      lost: () => notices.show("connection", "warning", "The connection is lost. The sound is kept, and the session is " +
        "taken up again as soon as the server answers."),
      resumed: () => notices.clear("connection"),
      log: (direction, text) => log.add(direction, text),
      unreadable: () => notices.show("unreadable", "error", "The server sent something that is no JSON object; " +
        "see Messages. Is this the address of ambientd?"),
    });
  } catch (error) {
    notices.show("connection", "error", error.message);
    setState("idle");
    return Promise.resolve();
  }
  session = newSession();
  setState("opening");
  return new Promise((resolve) => { greeted = resolve; });
}

function closed({ code, words, opened }) {
  greeted?.();
  greeted = null;
  const calm = session.ended && code === 1000;
  if (!calm && (opened || !session.cancelled)) notices.show("connection", code === 1000 ? "info" : "error", words);
  stopSource();
  notices.clear("backlog");
  setState("idle");
  showMetrics();
}

/* ---- messages ---- */

const RECEIVE = {
  connected(message) {
    const config = message.config ?? {};
    transcript.clear();
    $("download").disabled = true;
    facts($("info-list"), []);
    session.id = String(message.session_id ?? "");
    const bytes = config.audio_buffer_size;
    if (Number.isInteger(bytes) && bytes >= 2 && bytes <= 262144) session.frameBytes = bytes - (bytes % 2);
    $("session-facts").textContent = `Session ${session.id}, model ${config.whisper_model ?? "unknown"}`;
    if ((config.sample_rate ?? RATE) !== RATE || (config.channels ?? 1) !== 1) {
      notices.show("config", "error", `This page sends 16000 Hz mono; the server wants ${config.sample_rate} Hz, ` +
        `${config.channels} channel(s). Set it to 16000 and 1.`);
      connection.close();
      return;
    }
    setState("connected");
    greeted?.();
    greeted = null;
  },
  transcript(message) {
    session.chunks += 1;
    if (Number.isFinite(message.processing_time_ms)) {
      session.lastMs = message.processing_time_ms;
      session.totalMs += session.lastMs;
    }
    const sentAt = connection.sentAt(message.end_time);
    if (sentAt !== null) session.behind = (performance.now() - sentAt) / 1000;
    transcript.commit(message);
    $("download").disabled = false;
  },
  partial(message) { transcript.receivePartial(message); },
  gap(message) { transcript.gap(message); },
  error({ code, message }) {
    notices.show(`error ${code}`, "error", `${code ? `${code}: ` : ""}${message ?? "The server reports an error."}`);
  },
  session_info(message) {
    const metrics = message.metrics && typeof message.metrics === "object" ? message.metrics : {};
    const shown = (value) => (Number.isFinite(value) && !Number.isInteger(value) ? value.toFixed(2) : value);
    facts($("info-list"), [
      ["connected at", message.connected_at],
      ["chunks", message.total_chunks],
      ...Object.entries(metrics).map(([name, value]) => [name.replaceAll("_", " "), shown(value)]),
    ]);
    $("info-panel").open = true;
  },
  session_ended(message) {
    session.ended = true;
    stopSource(); // ended by somebody else, the microphone closes here
    setState("ending");
    transcript.receivePartial({ text: "" });
    notices.show("ended", "info", String(message.message ?? "The session has ended and is stored."));
  },
  pong() {},
};

function receive(message) {
  const known = Object.hasOwn(RECEIVE, message.type) ? RECEIVE[message.type] : null;
  if (known) known(message);
  else if (typeof message.message === "string") {
    notices.show(`broadcast ${message.type}`, "info", `${message.type}: ${message.message}`);
  }
  showMetrics();
}

/* ---- sound ---- */

async function openSource() {
  if ($("use-file").checked) {
    const [file] = $("file").files;
    if (!file) throw new Error("Choose an audio file first.");
    return AudioFile.open(file);
  }
  const microphone = await Microphone.open($("microphone").value, {
    echo: $("echo").checked, noise: $("noise").checked, gain: $("gain").checked,
  });
  await fillMicrophones(); // names are told only after permission
  return microphone;
}

/* The source comes before the connection: a person may take a minute to allow the microphone, and the service
   ends sessions that say nothing. */
async function start() {
  const wasConnected = state === "connected";
  notices.clearAll();
  choosing = true;
  setState(state);
  let chosen = null;
  try {
    chosen = await openSource();
  } catch (error) {
    notices.show("source", "error", error.message);
  }
  choosing = false;
  setState(state);
  if (chosen === null) return;
  if (!wasConnected) await connect();
  if (state !== "connected") { // refused, or the server went away while the person was asked
    await chosen.end();
    return;
  }
  source = chosen;
  const link = connection;
  setState("starting");
  $("source-facts").textContent = chosen.label;
  await chosen.start(session.frameBytes, {
    pcm: (buffer) => link.sendAudio(buffer),
    level: (level) => meter.show(level),
    problem: (key, text, action) => notices.show(key, "warning", text, action),
    well: (key) => notices.clear(key),
    finished: (why) => sourceFinished(why),
    backlog: () => link.backlog,
  }, $("fast").checked);
  if (state === "starting") setState("streaming");
}

async function stopSource() {
  const ending = source;
  source = null;
  if (!ending) return;
  await ending.end();
  meter.show();
  notices.clear("silence");
  notices.clear("suspended");
}

/* A file that is through ends its session.  A lost microphone does not: another may take its place. */
async function sourceFinished(why) {
  if (why === "") {
    await end();
    return;
  }
  notices.show("source", "error", `${why} Choose another microphone and press Start, or end the session.`);
  await stopSource();
  if (state === "streaming" || state === "paused" || state === "starting") setState("connected");
  await fillMicrophones();
}

async function pauseOrResume() {
  $("pause").disabled = true;
  if (state === "streaming") {
    await source?.pause();
    if (state === "streaming") setState("paused");
  } else {
    await source?.resume();
    if (state === "paused") setState("streaming");
  }
}

async function end() {
  if (state === "opening" || state === "ending") {
    session.cancelled = true;
    connection.close();
    return;
  }
  const mine = connection;
  setState("ending");
  await stopSource(); // its last samples go out before the order to end
  mine.order("end_session");
  setTimeout(() => {
    if (connection !== mine || state !== "ending") return;
    notices.show("connection", "warning", "The server has not confirmed the end yet. Wait, or close without waiting: " +
      "it then ends the session by itself.");
  }, END_PATIENCE_MS);
}

/* ---- figures ---- */

function showMetrics() {
  const seconds = (connection?.samplesSent ?? 0) / RATE;
  const number = (value, digits, unit) => (value === null ? "–" : `${value.toFixed(digits)} ${unit}`);
  const average = session.chunks && session.lastMs !== null ? session.totalMs / session.chunks : null;
  const backlog = connection?.backlog ?? 0;
  const show = (id, value) => { $(id).textContent = value; };
  show("audio-sent", clock(seconds, true));
  show("chunks", session.chunks);
  show("behind", number(session.behind, 1, "s"));
  show("last-ms", number(session.lastMs, 0, "ms"));
  show("avg-ms", number(average, 0, "ms"));
  show("round-trip", number(connection?.roundTrip ?? null, 0, "ms"));
  show("bytes", number((connection?.bytesSent ?? 0) / 1000, 0, "kB"));
  show("backlog", number(backlog / 1000, 0, "kB"));
  const behind = backlog / BYTES_PER_SECOND;
  if (state !== "idle" && behind > BACKLOG_SECONDS) {
    notices.show("backlog", "warning", `More than ${BACKLOG_SECONDS} s of sound wait in this browser: the server or the ` +
      "network is slower than speech. Nothing is lost while this page stays open; pause until it has caught up.");
  } else if (behind < BACKLOG_SECONDS / 2) {
    notices.clear("backlog");
  }
}

/* ---- setting up ---- */

async function fillMicrophones() {
  const list = $("microphone");
  const chosen = list.value;
  const options = (await listMicrophones()).map(({ deviceId, label }, i) => {
    const option = element("option", "", label || `Microphone ${i + 1}`);
    option.value = deviceId;
    return option;
  });
  const standard = element("option", "", "The system's default");
  standard.value = "";
  list.replaceChildren(standard, ...options.filter((option) => option.value !== "default"));
  list.value = [...list.options].some((option) => option.value === chosen) ? chosen : "";
}

function showSourceChoice() {
  $("microphone-choice").hidden = !$("use-microphone").checked;
  $("file-choice").hidden = !$("use-file").checked;
}

function setUp() {
  $("broken").remove();
  $("address").value = defaultAddress();
  const reason = microphoneUnavailable();
  if (reason) {
    $("use-microphone").disabled = true;
    $("use-file").checked = true;
    $("microphone-reason").textContent = reason;
    $("microphone-reason").hidden = false;
  } else {
    fillMicrophones();
    navigator.mediaDevices.addEventListener("devicechange", fillMicrophones);
  }
  showSourceChoice();
  $("use-microphone").addEventListener("change", showSourceChoice);
  $("use-file").addEventListener("change", showSourceChoice);
  $("start").addEventListener("click", start);
  $("connect").addEventListener("click", () => { notices.clearAll(); connect(); });
  $("pause").addEventListener("click", pauseOrResume);
  $("end").addEventListener("click", end);
  $("ping").addEventListener("click", () => connection.order("ping"));
  $("info").addEventListener("click", () => connection.order("session_info"));
  $("download").addEventListener("click", () => {
    saveText(`transcript-${session.id || "session"}.txt`, transcript.asText(session.id));
  });
  setInterval(() => { if (USABLE[state].includes("ping")) connection.order("ping"); }, PING_EVERY_MS);
  setInterval(() => { if (state !== "idle") showMetrics(); }, 250);
  window.addEventListener("beforeunload", (event) => { if (state !== "idle") event.preventDefault(); });
  setState("idle");
  showMetrics();
}

setUp();
