/* Names that may have been meant, or were put in for what was heard: whoever reads the visit decides. */

import { h } from "./dom.js";
import { doing } from "./notices.js";
import { t } from "./text.js";

const bare = (text) => text.replace(/[.,;:?!]+$/, "");

/* The marked words of a line: {kind, first, count, now, other, key}; `other` is what may stand there instead of `now`. */
export function marksOf(line) {
  const words = (line.segments ?? []).flatMap((segment) => segment.words ?? []).map(({ word }) => word.trim());
  const of = (kind, all, other) => (all ?? []).map((mark) => ({
    kind, first: mark.word, count: mark.words, now: bare(words.slice(mark.word, mark.word + mark.words).join(" ")),
    other: bare(mark[other]), before: words.slice(0, mark.word).join(" "), key: `${line.chunk_index}:${mark.word}`,
  }));
  return [...of("suggested", line.suggestions, "suggested"), ...of("put", line.corrections, "said")].filter(({ now }) => now !== "");
}

/* The line's text with the other words, or null where the marked ones cannot be told apart any more. */
function changed(line, { now, other, before }) {
  const parts = line.text.split(now);
  if (parts.length < 2 || parts.length !== line.heard.split(now).length) return null;
  const at = before.split(now).length;
  return parts.slice(0, at).join(now) + other + parts.slice(at).join(now);
}

/* What is to be decided about a line, or null; `take(text)` makes this the line's text. */
export function names(line, visitId, take) {
  const items = marksOf(line).map((mark) => {
    const text = changed(line, mark);
    if (text === null || left(visitId).includes(mark.key)) return null;
    const { kind, now, other } = mark;
    const item = h("li", { class: "row" }, h("span", { dir: "auto", text: t(`names.${kind}`, { now, other }) }),
      doing(t(`names.${kind}_take`), () => take(text), { "aria-label": t(`names.${kind}_take_what`, { now, other }) }),
      h("button", {
        class: "quiet", text: t("names.leave"), "aria-label": t("names.leave_what", { now }),
        onclick: () => {
          leave(visitId, mark.key);
          item.remove();
        },
      }));
    return item;
  }).filter(Boolean);
  return items.length ? h("ul", { class: "names" }, items) : null;
}

/* What was left as it is, for as long as this tab is open.  Places only: no words of a patient outlive the page. */
const place = (visitId) => `ambientd.left.${visitId}`;
const left = (visitId) => JSON.parse(sessionStorage.getItem(place(visitId)) ?? "[]");
const leave = (visitId, key) => sessionStorage.setItem(place(visitId), JSON.stringify([...left(visitId), key]));
