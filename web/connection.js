"use strict";

/* One WebSocket to the service, and what its end means in words. */

const SESSION_ID = /^[A-Za-z0-9._-]{1,64}$/;

function defaultAddress() {
  if (!location.protocol.startsWith("http")) return "ws://localhost:8000/ws/transcribe";
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/transcribe`;
}

/* The full address of a session.  Throws an Error whose message says what to do.  The server is only ever what
   a person typed or the host of this page: a link that could name one could send a microphone anywhere. */
function sessionAddress(typed, sessionId, partials) {
  let url;
  try {
    url = new URL(typed.includes("://") ? typed : `ws://${typed}`);
  } catch {
    throw new Error("That is no address. It looks like ws://localhost:8000/ws/transcribe");
  }
  url.protocol = url.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(url.protocol)) throw new Error("The address must begin with ws:// or wss://");
  if (location.protocol === "https:" && url.protocol === "ws:") {
    throw new Error("A page opened by https:// may only connect to wss:// addresses.");
  }
  if (sessionId && !SESSION_ID.test(sessionId)) {
    throw new Error("A session id has 1 to 64 letters, digits, dots, dashes or underscores.");
  }
  if (url.pathname === "/") url.pathname = "/ws/transcribe";
  if (sessionId) url.pathname = `${url.pathname.replace(/\/$/, "")}/${sessionId}`;
  if (partials) url.searchParams.set("partials", "1");
  url.hash = "";
  return url.href;
}

/* Source: RFC 6455 section 7.4.1 and the registry it founds; the use of each is the service's protocol. */
const CLOSE_WORDS = {
  1000: "The session has ended.",
  1001: "The server is going away: it is being stopped or restarted. What was shown is stored. Try again soon.",
  1003: "The server cannot use this kind of data. It wants 16-bit PCM at 16 kHz, mono.",
  1005: "The server closed the connection without saying why.",
  1006: "The connection broke without a goodbye: the server or the network stopped. What was shown is stored.",
  1008: "The server refused: sign-in is missing or wrong, or this session id is already in use.",
  1009: "A message was too big for the server.",
  1011: "The server met an error of its own; its log says more. What was shown is stored.",
  1012: "The server is restarting. Try again soon.",
  1013: "The server is full: it has as many sessions as it can serve. Try again later.",
};

const NEVER_OPENED =
  "No connection. Is the service running (systemctl status ambientd, or make run), is the address right, and does " +
  "the server allow this page? With wss:// and a certificate of the box's own, first open the same address with " +
  "https:// in a tab and accept the certificate.";

function closeWords(code, reason, opened) {
  if (!opened) return NEVER_OPENED;
  const words = CLOSE_WORDS[code] ?? "The server closed the connection.";
  return `${words}${reason ? ` It says: “${reason}”` : ""} (close code ${code})`;
}

const KEPT_BYTES = 120 * 2 * RATE; // sound that can be sent again: two minutes
const TRY_FOR_MS = 60000; // as long as the service waits, unless it is told otherwise
const BROKEN = [1001, 1005, 1006, 1012]; // close codes that say nothing of the session

class Connection {
  /* One session.  Where its connection breaks it is taken up again with the token the server gave, and what did not
     arrive is sent again.
     `on.message(object)`, `on.closed({code, words, opened})`, `on.lost()`, `on.resumed()`, `on.log(direction, text)`,
     `on.unreadable()`.
     Throws an Error with words when the browser refuses the address itself. */
  constructor(address, on) {
    this.on = on;
    this.address = address;
    this.token = ""; // with which to come back
    this.nextLine = 0;
    this.kept = []; // [byte of the session, frame]
    this.lostAt = null; // when the connection broke; null while it stands
    this.leaving = false; // nobody is to come back
    this.samplesSent = 0;
    this.framesSent = 0;
    this.bytesSent = 0;
    this.roundTrip = null; // ms
    this.sent = []; // [samples sent so far, when], one a frame: two hours are 28,000 of them
    this.pings = []; // when each unanswered ping left; the answers come in the same order
    this.opened = false;
    try {
      this.#open(address);
    } catch (error) {
      throw new Error(`The browser refuses this address: ${error.message}`);
    }
  }

  #open(address) {
    const again = this.lostAt !== null;
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.opened = true;
      if (again) this.socket.send(JSON.stringify({ type: "resume", token: this.token, next_line: this.nextLine }));
    };
    this.socket.onmessage = ({ data }) => this.#receive(data);
    this.socket.onclose = ({ code, reason }) => {
      this.on.log("in", `close ${code} ${reason}`);
      this.live = false;
      if (this.token && !this.leaving && BROKEN.includes(code) && this.#comeBack()) return;
      this.#over(code, reason);
    };
  }

  #over(code, reason = "") {
    this.on.closed({ code, words: closeWords(code, reason, this.opened), opened: this.opened });
  }

  /* Tries once more, unless it has been tried for long enough. */
  #comeBack() {
    const now = performance.now();
    if (this.lostAt === null) {
      this.lostAt = now;
      this.pings = [];
      this.on.lost();
    }
    if (now - this.lostAt > TRY_FOR_MS) return false;
    const url = new URL(this.address);
    const path = url.pathname.replace(/\/ws\/transcribe.*$/, "/ws/transcribe");
    url.pathname = `${path}/${this.id}`;
    url.searchParams.set("resume", "1");
    setTimeout(() => { if (!this.leaving) this.#open(url.href); }, Math.min(5000, 200 + (now - this.lostAt) / 2));
    return true;
  }

  /* The greeting: of a new session it is passed on; of one that goes on, sound is sent again from where the server
     has it.  What is kept no longer is told to be lost. */
  #greeted(message) {
    this.token = message.resume_token ?? "";
    this.id = message.session_id;
    this.live = true;
    if (this.lostAt === null) return true;
    this.lostAt = null;
    if (!message.resumed) { // the server knows nothing of the session: this is another one
      this.leaving = true;
      this.socket.onclose = null;
      this.socket.close(1000);
      this.#over(1006);
      return false;
    }
    const there = 2 * message.received_samples;
    const begin = Math.max(there, this.kept.length ? this.kept[0][0] : this.bytesSent);
    if (begin > there) this.order("lost", { samples: (begin - there) / 2 });
    for (const [at, frame] of this.kept) {
      if (at + frame.byteLength > begin) this.socket.send(at >= begin ? frame : frame.slice(begin - at));
    }
    if (this.last) this.order(this.last);
    this.on.resumed();
    return false;
  }

  get backlog() {
    return this.socket.bufferedAmount;
  }

  sendAudio(buffer) {
    if (this.leaving || (this.lostAt === null && this.socket.readyState !== WebSocket.OPEN)) return;
    if (this.token) this.kept.push([this.bytesSent, buffer]);
    while (this.kept.length && this.bytesSent - this.kept[0][0] > KEPT_BYTES) this.kept.shift();
    if (this.live) this.socket.send(buffer);
    this.framesSent += 1;
    this.bytesSent += buffer.byteLength;
    this.samplesSent += buffer.byteLength / 2;
    this.sent.push([this.samplesSent, performance.now()]);
  }

  /* When the sample at this second of the session left the page (ms), or null. */
  sentAt(seconds) {
    if (!Number.isFinite(seconds) || this.sent.length === 0) return null;
    let at = this.sent.length - 1;
    while (at > 0 && this.sent[at - 1][0] >= seconds * RATE) at -= 1;
    return this.sent[at][1];
  }

  order(type, fields = {}) {
    if (type === "end_session") this.last = type; // told again where it did not arrive
    if (!this.live) return;
    if (type === "ping") this.pings.push(performance.now());
    const text = JSON.stringify({ type, ...fields });
    this.on.log("out", text);
    this.socket.send(text);
  }

  close() {
    this.leaving = true;
    if (this.socket.readyState === WebSocket.CLOSED) this.#over(1006); // it was to be opened again
    this.socket.close(1000);
  }

  #receive(data) {
    const text = typeof data === "string" ? data : `${data.byteLength} bytes`;
    this.on.log("in", text);
    let message = null;
    try {
      message = JSON.parse(text);
    } catch {
      // told below, together with every other thing that is no JSON object
    }
    if (message === null || typeof message !== "object" || Array.isArray(message)) {
      this.on.unreadable();
      return;
    }
    if (message.type === "pong" && this.pings.length) this.roundTrip = performance.now() - this.pings.shift();
    if (message.type === "transcript") this.nextLine = message.chunk_index + 1;
    if (message.type === "session_ended") this.leaving = true;
    if (message.type !== "connected" || this.#greeted(message)) this.on.message(message);
  }
}
