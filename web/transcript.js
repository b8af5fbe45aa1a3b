"use strict";

/* The conversation as it grows: committed lines, gaps, and the open utterance after them.
   All text from the server enters by textContent: what patients say is never markup. */

const UNSURE_WORD = 0.5;
const FAIR_LINE = 0.8;
const POOR_LINE = 0.6;

function clock(seconds, tenths = false) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = tenths ? Math.floor(seconds * 10) / 10 : Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const rest = (whole - minutes * 60).toFixed(tenths ? 1 : 0);
  return `${minutes}:${rest.padStart(tenths ? 4 : 2, "0")}`;
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

class Transcript {
  /* `list`: the committed lines, a live region.  `open`: the open utterance, not live, since it changes with
     every word.  `box` scrolls.  `latest`: the button shown while the reader looks further up. */
  constructor({ box, list, open, latest, empty }) {
    Object.assign(this, { box, list, open, latest, empty });
    this.clear();
    box.addEventListener("scroll", () => { this.latest.hidden = this.#atEnd(); });
    latest.addEventListener("click", () => {
      box.scrollTop = box.scrollHeight;
      box.focus();
    });
  }

  clear() {
    this.lines = [];
    this.partial = null;
    this.list.replaceChildren();
    this.open.replaceChildren();
    this.#show(() => {});
  }

  commit(message) {
    const { text, start_time: start, end_time: end, confidence } = message;
    // The partial is part of this line, unless it has already begun after it.
    if (this.partial && !(this.partial.start_time >= end)) this.receivePartial({ text: "" });
    if (typeof text !== "string" || text.trim() === "") return;
    this.lines.push({ text: text.trim(), start, end });
    const item = element("li", "line");
    item.append(element("span", "time", clock(start)), this.#words(message));
    if (Number.isFinite(confidence)) {
      if (confidence < FAIR_LINE) item.classList.add(confidence < POOR_LINE ? "poor" : "fair");
      const sure = element("span", "confidence", `${Math.round(confidence * 100)} %`);
      sure.title = "How sure the engine is of this line";
      item.append(sure);
    }
    this.#show(() => this.list.append(item));
  }

  gap({ start_time: start, end_time: end, reason }) {
    this.lines.push({ gap: true, text: String(reason ?? "unknown reason"), start, end });
    const item = element("li", "gap");
    const words = `Not transcribed until ${clock(end)}: ${reason ?? "unknown reason"}`;
    item.append(element("span", "time", clock(start)), element("span", "text", words));
    this.#show(() => this.list.append(item));
  }

  receivePartial(message) {
    const text = typeof message.text === "string" ? message.text : "";
    const stable = typeof message.stable_text === "string" ? message.stable_text : "";
    this.partial = text ? message : null;
    const settled = text.startsWith(stable) ? stable : "";
    this.#show(() => {
      this.open.replaceChildren();
      if (text === "") return;
      const words = element("span", "text");
      words.dir = "auto";
      words.append(element("span", "stable", settled), element("span", "tentative", text.slice(settled.length)));
      this.open.append(element("span", "time", clock(message.start_time)), words);
    });
  }

  asText(sessionId) {
    const rows = this.lines.map(({ gap, text, start, end }) => {
      const span = `[${clock(start, true)} - ${clock(end, true)}]`;
      return gap ? `${span} (not transcribed: ${text})` : `${span} ${text}`;
    });
    return `Session ${sessionId}\n\n${rows.join("\n")}\n`;
  }

  /* Word by word where the words add up to the line; else the line's text is the truth and goes in whole. */
  #words({ text, segments }) {
    const holder = element("span", "text");
    holder.dir = "auto";
    const words = (Array.isArray(segments) ? segments : []).flatMap((segment) => segment?.words ?? []);
    const plain = (string) => string.replace(/\s+/g, " ").trim();
    const pieces = words.map((word) => plain(String(word?.word ?? "")));
    if (pieces.length === 0 || plain(text).replaceAll(" ", "") !== pieces.join("").replaceAll(" ", "")) {
      holder.textContent = plain(text);
      return holder;
    }
    let rest = plain(text);
    words.forEach((word, i) => {
      const space = rest.startsWith(" ") ? " " : "";
      rest = rest.slice(space.length + pieces[i].length);
      const unsure = word.probability < UNSURE_WORD;
      const node = element("span", unsure ? "unsure" : "", pieces[i]);
      if (unsure) node.title = `${Math.round(word.probability * 100)} % sure`;
      holder.append(space, node);
    });
    return holder;
  }

  #atEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 40;
  }

  /* Follows the talk only while the reader is at its end. */
  #show(change) {
    const follow = this.#atEnd();
    change();
    this.empty.hidden = this.lines.length > 0 || this.partial !== null;
    if (follow) this.box.scrollTop = this.box.scrollHeight;
    this.latest.hidden = this.#atEnd();
  }
}
