/* One conversation's way to the box over `/ws/transcribe`, kept up over broken connections.

   Sound that the box may still need is kept: all that it has not acknowledged, and two minutes more, since a box whose
   power failed goes on from its last stored line.  Where the session has ended meanwhile (it waits for a lost client
   only so long), the conversation goes on in a new one, from the very sample that is missing. */

import { Refusal, ask, session, socketAddress } from "./api.js";

const RATE = 16000;
const BYTES = 2 * RATE; // of a second
const KEPT_AFTER_ACK = 120 * BYTES;
export const KEPT_AT_MOST = 900 * BYTES; // 29 MB: a quarter of an hour without a network
const SLOWEST_TRY_MS = 5000;

export class Link {
  /* `on`: message(object), up(), down(), shut(), lost(seconds), moved(id), over(code, reason, fault),
     opened(id, token).
     `wishes`: fields of `configure`, sent at the start of each session.  `query`: of the address. */
  constructor(on, wishes, query) {
    Object.assign(this, { on, wishes, query });
    this.kept = []; // [first byte, frame]
    this.sentBytes = 0; // all that was ever given to `send`, in bytes of this session
    this.acked = 0;
    this.nextLine = 0;
    this.id = "";
    this.token = "";
    this.live = false;
    this.finished = false;
    this.last = null;
    this.tries = 0;
    this.fault = ""; // code of the last error the box told
    this.paused = false;
    this.open = this.open.bind(this);
  }

  /* Begins a session, or goes on with one whose token is known. */
  start(before = null) {
    if (before) {
      Object.assign(this, { id: before.id, token: before.token, returning: true });
    }
    this.open();
  }

  async open() {
    if (this.finished) return;
    const again = this.token !== "";
    const path = again ? `/ws/transcribe/${this.id}` : "/ws/transcribe";
    let address;
    try {
      address = await socketAddress(path, { ...this.query, ...(again && { resume: 1 }) });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.closed(1006, error.message, again);
      return;
    }
    if (this.finished) return;
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (again) this.say("resume", { token: this.token, next_line: this.nextLine }, socket);
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.socket) this.receive(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.socket) this.closed(code, reason, again);
    };
  }

  say(type, fields = {}, socket = this.socket) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type, ...fields }));
  }

  /* The last order is repeated until it has arrived. */
  end() {
    this.last = "end_session";
    if (this.live) this.say(this.last);
  }

  /* Its time stands still from here on, or goes on; told again where the connection was away. */
  pause(paused) {
    this.paused = paused;
    if (this.live) this.say(paused ? "pause" : "resume_recording");
  }

  drop() {
    this.finished = true;
    this.socket?.close(1000);
  }

  get buffered() {
    return Math.max(0, this.sentBytes - this.acked) / BYTES;
  }

  get seconds() {
    return this.sentBytes / BYTES;
  }

  /* Sound to send; it is kept whether or not anybody can take it now. */
  send(buffer) {
    if (this.finished || this.last) return;
    this.kept.push([this.sentBytes, buffer]);
    this.sentBytes += buffer.byteLength;
    this.forget();
    if (this.live) this.socket.send(buffer);
  }

  /* Sound that nobody can send any more; samples. */
  lose(samples) {
    if (samples <= 0 || this.last) return;
    this.kept.push([this.sentBytes, samples]);
    this.sentBytes += 2 * samples;
    if (this.live) this.say("lost", { samples });
  }

  forget() {
    const needless = this.acked - KEPT_AFTER_ACK;
    while (this.kept.length && this.kept[0][0] + size(this.kept[0][1]) <= needless) this.kept.shift();
    let held = this.kept.length ? this.sentBytes - this.kept[0][0] : 0;
    while (this.kept.length && held > KEPT_AT_MOST) held -= size(this.kept.shift()[1]);
  }

  receive(data) {
    let message = null;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not this page's protocol; the socket's end will tell
    }
    if (message.type === "ack") {
      this.acked = Math.max(this.acked, 2 * message.received_samples);
      this.forget();
    }
    if (message.type === "transcript") this.nextLine = message.chunk_index + 1;
    if (message.type === "session_ended") this.finished = true;
    if (message.type === "error") this.fault = message.code;
    if (message.type === "connected") this.greeted(message);
    this.on.message(message);
  }

  greeted(message) {
    const first = this.token === "" || !message.resumed;
    if (this.token !== "" && !message.resumed) { // the box knows nothing of it any more: this is another one
      this.on.moved(this.id);
      this.rebase(this.acked);
    }
    this.tries = 0;
    this.fault = "";
    this.id = message.session_id;
    this.token = message.resume_token ?? "";
    if (this.returning) { // the page itself is new: what it sends now comes after what the box has
      this.returning = false;
      this.sentBytes = this.acked = 2 * message.received_samples;
    }
    this.on.opened(this.id, this.token);
    if (first) this.say("configure", this.wishes);
    if (message.paused) this.say("resume_recording"); // what was recorded before its pause comes first
    this.resend(2 * message.received_samples);
    if (this.paused) this.say("pause");
    this.live = true;
    this.on.up();
    if (this.last) this.say(this.last);
  }

  /* From the byte where the box has ended. */
  resend(there) {
    this.acked = there;
    const begin = Math.max(there, this.kept.length ? this.kept[0][0] : this.sentBytes);
    if (begin > there) {
      this.say("lost", { samples: (begin - there) / 2 });
      this.on.lost((begin - there) / BYTES);
    }
    for (const [at, what] of this.kept) {
      if (at + size(what) <= begin) continue;
      const skip = Math.max(0, begin - at);
      if (typeof what === "number") this.say("lost", { samples: what - skip / 2 });
      else this.socket.send(skip ? what.slice(skip) : what);
    }
  }

  closed(code, reason, again) {
    const was = this.live;
    this.live = false;
    const never = this.token === "" && this.sentBytes === 0; // the box refuses, or is not there
    const gone = this.returning && this.fault === "session_exists"; // there was too little time to come back
    if (this.finished || never || gone || this.fault === "taken_over") {
      this.finished = true;
      this.on.over(code, reason, this.fault);
      return;
    }
    if (this.fault === "locked" || this.fault === "unauthenticated") this.on.shut();
    else if (was) this.on.down();
    if (again && this.fault === "session_exists") this.renew();
    else if (code === 1000) this.renew(); // ended, and its last message was not heard
    else this.retry();
  }

  retry() {
    this.tries += 1;
    setTimeout(this.open, Math.min(SLOWEST_TRY_MS, 200 * 2 ** Math.min(this.tries, 6)));
  }

  /* The session is over at the box while sound was still to come: the rest becomes another one. */
  async renew() {
    let there = this.acked;
    try {
      const record = await ask(session(this.id), { quiet: true });
      if (record.state === "open") { // the box has not noticed that the old connection is dead
        this.retry();
        return;
      }
      there = 2 * record.metrics.received_samples;
    } catch (error) {
      if (error instanceof Refusal && [401, 423].includes(error.status)) { // it will tell once this page is unlocked
        this.on.shut();
        setTimeout(() => this.renew(), SLOWEST_TRY_MS);
        return;
      }
      // what was acknowledged last is the best that is known; some words may then stand in both
    }
    if (this.last && this.sentBytes <= there) { // it was to end, and it has
      this.finished = true;
      this.on.over(1000, "", "");
      return;
    }
    this.on.moved(this.id);
    this.rebase(there);
    this.token = "";
    this.open();
  }

  /* What comes after this byte is counted from 0 again, for a session that begins with it. */
  rebase(there) {
    const rest = this.kept.filter(([at, what]) => at + size(what) > there);
    this.kept = [];
    this.sentBytes = this.acked = this.nextLine = 0;
    for (const [at, what] of rest) {
      const skip = Math.max(0, there - at);
      const left = typeof what === "number" ? what - skip / 2 : what.slice(skip);
      this.kept.push([this.sentBytes, left]);
      this.sentBytes += size(left);
    }
  }
}

function size(what) {
  return typeof what === "number" ? 2 * what : what.byteLength;
}
