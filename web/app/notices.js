/* What went wrong and what to do, shown where it matters; and questions that must be answered. */

import { $, fill, h } from "./dom.js";
import { Refusal } from "./api.js";
import { t } from "./text.js";

/* One notice: `kind` error, warning, info or good; `action {label, act}` adds a button, `close` one to put it away. */
export function notice({ kind, text, action = null, close = null }) {
  return h("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" },
    h("p", { text }),
    action && h("button", { text: action.label, onclick: action.act }),
    close && h("button", { class: "quiet", "aria-label": t("notice.close"), text: "×", onclick: close }));
}

/* Something a person asked for did not work. */
export function failed(error) {
  if (!(error instanceof Refusal)) throw error;
  // The way in is shown as well: the bar's buttons stay beside it, and an order must not be refused in silence.
  show([401, 423].includes(error.status) ? t("lock.first") : error.message, "error");
}

export function show(text, kind = "good") {
  const place = $("notices");
  const shown = notice({ kind, text, close: () => shown.remove() });
  fill(place, shown);
  if (kind !== "error") setTimeout(() => shown.remove(), 6000);
}

/* A button whose work may fail and takes time. */
export function doing(words, act, properties = {}) {
  return h("button", {
    ...properties, text: words,
    onclick: async ({ currentTarget }) => {
      currentTarget.disabled = true;
      try {
        await act(currentTarget);
      } catch (error) {
        failed(error);
      } finally {
        currentTarget.disabled = false;
      }
    },
  });
}

/* Asks; true for yes.  The browser's own dialog keeps the keyboard inside, and Escape says no. */
export function confirmed({ title, text, yes, no = t("cancel"), danger = false, extra = null }) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" },
      h("h2", { id: "dialog-title", text: title }),
      h("p", { id: "dialog-text", text }),
      extra,
      h("div", { class: "dialog-buttons" },
        h("button", { text: no, onclick: () => dialog.close() }),
        h("button", { class: danger ? "danger" : "main", text: yes, onclick: () => dialog.close("yes") })));
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
