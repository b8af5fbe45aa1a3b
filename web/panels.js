"use strict";

/* The small parts of the page: notices, the raw message log, the level meter, tables of facts. */

class Notices {
  constructor(holder) {
    this.holder = holder;
    this.byKey = new Map();
  }

  /* One notice a key: the newer replaces the older.  `kind`: "error", "warning" or "info".
     `action {label, act}` adds a button. */
  show(key, kind, text, action) {
    const old = this.byKey.get(key);
    if (old?.dataset.text === text) return;
    const notice = element("div", `notice ${kind}`);
    notice.dataset.text = text;
    notice.dataset.key = key;
    notice.setAttribute("role", kind === "error" ? "alert" : "status");
    notice.append(element("p", "", text));
    if (action) {
      const button = element("button", "", action.label);
      button.addEventListener("click", action.act);
      notice.append(button);
    }
    const close = element("button", "close", "×");
    close.setAttribute("aria-label", "Dismiss this notice");
    close.addEventListener("click", () => notice.remove()); // its key stays: the same text will not nag again
    notice.append(close);
    if (old?.isConnected) old.replaceWith(notice);
    else this.holder.append(notice);
    this.byKey.set(key, notice);
  }

  clear(key) {
    this.byKey.get(key)?.remove();
    this.byKey.delete(key);
  }

  clearAll() {
    [...this.byKey.keys()].forEach((key) => this.clear(key));
  }
}

class MessageLog {
  static ENTRIES = 200; // a two-hour session with partials would else fill the browser's memory
  static CHARACTERS = 2000;

  constructor(list, count) {
    Object.assign(this, { list, count });
    this.total = 0;
  }

  add(direction, text) {
    this.total += 1;
    const shown = text.length > MessageLog.CHARACTERS ? `${text.slice(0, MessageLog.CHARACTERS)} …` : text;
    const time = new Date().toTimeString().slice(0, 8);
    const item = element("li", direction);
    item.append(element("span", "time", time), element("span", "way", direction === "in" ? "←" : "→"), ` ${shown}`);
    this.list.append(item);
    while (this.list.childElementCount > MessageLog.ENTRIES) this.list.firstElementChild.remove();
    this.count.textContent = `${this.total}, at most ${MessageLog.ENTRIES} kept`;
  }
}

class LevelMeter {
  static FLOOR_DB = -60;

  constructor(meter, bar, words) {
    Object.assign(this, { meter, bar, words });
    this.spokenAt = 0;
    this.show();
  }

  /* `level {peak, rms}` in [0, 1], or nothing when nothing listens. */
  show(level) {
    const { peak, rms } = level ?? { peak: 0, rms: 0 };
    const decibels = 20 * Math.log10(rms);
    const share = Math.max(0, Math.min(1, 1 - decibels / LevelMeter.FLOOR_DB));
    this.bar.style.transform = `scaleX(${share.toFixed(3)})`;
    this.bar.classList.toggle("clipping", peak >= 0.99);
    const now = performance.now();
    if (level && now - this.spokenAt < 500) return; // digits that flicker cannot be read
    this.spokenAt = now;
    let text = level ? "silence" : "off";
    if (rms > 0) text = `${decibels.toFixed(0)} dBFS${peak >= 0.99 ? ", too loud" : ""}`;
    this.words.textContent = text;
    this.meter.setAttribute("aria-valuenow", Math.round(share * 100));
    this.meter.setAttribute("aria-valuetext", text);
  }
}

/* Fills a <dl> from [name, value] pairs. */
function facts(list, pairs) {
  list.replaceChildren(
    ...pairs.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", String(value))]),
  );
}

function saveText(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const link = element("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
