/* A conversation on paper: committed lines firm, the open utterance grey and changing, gaps said in words. */

import { h, fill } from "./dom.js";
import { clock, percent, span, t } from "./text.js";

/* Probabilities are calibrated: of words told with 0.65 one in three is wrong. */
const UNSURE_WORD = 0.65;
const POOR_LINE = 0.75;
const NEAR_END = 48; // px

export class Paper {
  /* `place` gets a scrolling box and the button back to its end. */
  constructor(place) {
    this.list = h("ol", { class: "lines" });
    this.open = h("p", { class: "open" });
    this.box = h("div", {
      class: "paper", tabindex: "0", role: "log", "aria-live": "off", "aria-label": t("paper.label"),
      onscroll: () => { this.newest.hidden = this.atEnd; },
    }, this.list, this.open);
    this.newest = h("button", {
      class: "newest", hidden: true, text: t("paper.newest"),
      onclick: () => {
        this.toEnd();
        this.box.focus();
      },
    });
    place.append(h("div", { class: "paper-frame" }, this.box, this.newest));
  }

  get atEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_END;
  }

  toEnd() {
    this.box.scrollTop = this.box.scrollHeight;
    this.newest.hidden = true;
  }

  /* Follows the talk only while the reader is at its end. */
  show(change) {
    const follow = this.atEnd;
    change();
    if (follow) this.toEnd();
    else this.newest.hidden = this.atEnd;
  }

  all(lines) {
    this.show(() => fill(this.list, lines.map(lineItem)));
  }

  /* Lines are only ever added: those already shown stay as they are, for eye and memory alike. */
  add(lines) {
    this.show(() => this.list.append(...lines.slice(this.list.childElementCount).map(lineItem)));
  }

  partial(message) {
    this.show(() => {
      if (!message) {
        this.open.replaceChildren();
        return;
      }
      const { text, stable_text: stable = "", start_time: start } = message;
      const settled = text.startsWith(stable) ? stable : "";
      const words = h("span", { class: "text", dir: "auto" },
        h("span", { class: "stable", text: settled }), h("span", { class: "tentative", text: text.slice(settled.length) }));
      fill(this.open, time(start), words);
    });
  }
}

function time(seconds) {
  return h("span", { class: "time", text: clock(seconds) });
}

export function lineItem(line) {
  if (line.kind === "gap") return gapItem(line);
  if (line.kind === "break") return h("li", { class: "gap", text: t("paper.second") });
  const sure = line.confidence;
  return h("li", { class: Number.isFinite(sure) && sure < POOR_LINE ? "line poor" : "line" }, time(line.start_time), wordsOf(line));
}

export function gapItem({ start_time: start, end_time: end, reason }) {
  const why = ["lost", "inaudible", "shutdown"].includes(reason) ? t(`gap.${reason}`) : t("gap.other");
  return h("li", { class: "gap" }, time(start), h("span", { class: "text", text: t("paper.gap", { span: span(end - start), why }) }));
}

/* Word by word where the words add up to the line; else the line's text is the truth and goes in whole.  `marks`: names to
   be decided about, {first, count}. */
export function wordsOf({ text, segments }, marks = []) {
  const holder = h("span", { class: "text", dir: "auto" });
  const words = (Array.isArray(segments) ? segments : []).flatMap((segment) => segment?.words ?? []);
  const plain = (string) => string.replace(/\s+/g, " ").trim();
  const pieces = words.map((word) => plain(String(word?.word ?? "")));
  if (pieces.length === 0 || plain(text).replaceAll(" ", "") !== pieces.join("").replaceAll(" ", "")) {
    holder.textContent = plain(text);
    return holder;
  }
  let rest = plain(text);
  let sure = "";
  const flush = () => {
    if (sure) holder.append(sure);
    sure = "";
  };
  words.forEach((word, i) => {
    const space = rest.startsWith(" ") ? " " : "";
    rest = rest.slice(space.length + pieces[i].length);
    sure += space;
    const named = marks.some(({ first, count }) => i >= first && i < first + count);
    if (named || word.probability < UNSURE_WORD) {
      flush();
      holder.append(h("span", {
        class: named ? "named" : "unsure", title: named ? null : t("paper.unsure", { share: percent(word.probability) }), text: pieces[i],
      }));
    } else {
      sure += pieces[i];
    }
  });
  flush();
  return holder;
}
