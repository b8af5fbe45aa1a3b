/* The way in: the first account, pairing this tablet, logging in, unlocking. */

import { fill, h, labelled, tell } from "./dom.js";
import { Refusal, ask, post } from "./api.js";
import { confirmed, failed, notice } from "./notices.js";
import { busy, recorder, watch } from "./recorder.js";
import { t } from "./text.js";

const ASK_EVERY_MS = 2000;

let place;
let done; // called once somebody is in
let asking = null; // {pairing_id, secret, code} of this tablet

export async function openEntry(view, refusal, entered) {
  place = view;
  done = entered;
  if (refusal.code === "locked") {
    await locked();
    return;
  }
  if (refusal.fields?.setup_needed) setUp();
  else welcome();
}

function page(title, text, ...children) {
  const heading = h("h1", { text: title, tabindex: "-1" });
  fill(place, h("section", { class: "card entry-card" }, heading, text && h("p", { class: "hint", text }), children));
  heading.focus();
}

/* A form whose fields are sent by `act(values)`. */
function form(fields, button, act) {
  const fault = h("div", {});
  const inputs = fields.map(({ name, type = "text", label, hint = "", autocomplete = "off", mode = null, least = null }) => {
    const input = h("input", { name, type, autocomplete, required: true, inputmode: mode, minlength: least, maxlength: "200", autocapitalize: "none", spellcheck: "false" });
    return { name, input, row: labelled(label, input, hint) };
  });
  const go = h("button", { class: "main", text: button });
  return h("form", {
    class: "stack",
    onsubmit: async (event) => {
      event.preventDefault();
      go.disabled = true;
      fill(fault);
      try {
        await act(Object.fromEntries(inputs.map(({ name, input }) => [name, input.value])));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        fill(fault, notice({ kind: "error", text: error.message }));
        inputs.at(-1).input.value = "";
        inputs.at(-1).input.focus();
      } finally {
        go.disabled = false;
      }
    },
  }, inputs.map(({ row }) => row), fault, go);
}

const quiet = (path, body) => ask(path, { method: "POST", body, quiet: true });

function link(words, act) {
  return h("button", { class: "quiet", text: words, onclick: act });
}

function setUp() {
  page(t("setup.title"), t("setup.text"),
    form([
      { name: "code", label: t("setup.code"), hint: t("setup.code_hint") },
      { name: "name", label: t("entry.name"), autocomplete: "username" },
      { name: "password", type: "password", label: t("setup.password"), hint: t("setup.password_hint"), autocomplete: "new-password" },
    ], t("setup.go"), async (values) => {
      await quiet("/api/v1/setup", values);
      done();
    }),
    link(t("entry.login"), logIn));
}

function welcome() {
  page(t("pair.title"), t("pair.text"),
    form([{ name: "name", label: t("pair.name"), hint: t("pair.name_hint") }], t("pair.go"), async ({ name }) => {
      asking = await quiet("/api/v1/pairings", { name: name.trim() });
      waiting();
    }),
    link(t("entry.login"), logIn));
}

function waiting() {
  const mine = asking;
  page(t("pair.waiting"), t("pair.compare"),
    h("p", { class: "code huge", text: mine.code }),
    h("p", { class: "hint busy", role: "status", text: t("pair.wait") }),
    link(t("cancel"), () => {
      asking = null;
      welcome();
    }));
  tell(t("pair.spoken", { code: [...String(mine.code)].join(" ") }));
  const look = async () => {
    if (mine !== asking) return;
    let status = "waiting";
    try {
      ({ status } = await ask(`/api/v1/pairings/${encodeURIComponent(mine.pairing_id)}`, { headers: { "X-Pairing-Secret": mine.secret }, quiet: true }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 404 || error.status === 410) status = "expired";
    }
    if (mine !== asking) return;
    if (status === "waiting") {
      setTimeout(look, ASK_EVERY_MS);
      return;
    }
    asking = null;
    if (status === "approved") {
      done({ paired: true });
      return;
    }
    welcome();
    place.querySelector(".card").prepend(notice({ kind: "warning", text: t(`pair.${status}`) }));
  };
  setTimeout(look, ASK_EVERY_MS);
}

function logIn() {
  asking = null;
  page(t("login.title"), "",
    form([
      { name: "name", label: t("entry.name"), autocomplete: "username" },
      { name: "password", type: "password", label: t("entry.password"), autocomplete: "current-password" },
    ], t("login.go"), async (values) => {
      await quiet("/api/v1/login", values);
      done();
    }),
    link(t("login.pair"), welcome),
    link(t("glass.open"), breakGlass));
}

/* The code in the sealed envelope: everything, for a while, and everybody will know. */
function breakGlass() {
  page(t("glass.title"), t("glass.text"),
    form([{ name: "code", label: t("glass.code"), hint: t("glass.hint") }], t("glass.go"), async (values) => {
      await quiet("/api/v1/break-glass", values);
      done();
    }),
    link(t("cancel"), logIn));
}

/* What is wrong with the recording that goes on behind the lock: the view that tells it is not shown. */
const behind = h("div", { class: "notices" });
const showBehind = () => fill(behind, [...recorder.problems.values()].filter(({ key }) => key.startsWith("connection."))
  .map(({ kind, text }) => notice({ kind, text })));
watch((what) => {
  if (what === "problem") showBehind();
});

/* A paired tablet is unlocked by its PIN, or by anybody's name and password; a person by his password. */
async function locked() {
  let who = {};
  try {
    who = await ask("/api/v1/me", { quiet: true });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
  const unlock = async (values) => {
    await quiet("/api/v1/unlock", values);
    done();
  };
  const password = { name: "password", type: "password", label: t("entry.password"), autocomplete: "current-password" };
  const name = { name: "name", label: t("entry.name"), autocomplete: "username" };
  const pin = { name: "pin", type: "password", label: t("lock.pin"), mode: "numeric" };
  const device = who.kind === "device";
  showBehind();
  page(t("lock.title"), t("lock.text", { name: who.name ?? "" }), behind,
    device && who.pin && form([pin], t("lock.go"), unlock),
    form(device ? [name, password] : [password], t(device && who.pin ? "lock.go_password" : "lock.go"), unlock),
    device && !busy() && link(t("lock.pair"), async () => {
      const sure = await confirmed({ title: t("lock.pair_title"), text: t("lock.pair_text"), yes: t("lock.pair") });
      if (sure) await leave(welcome);
    }),
    !device && link(t("lock.other"), () => leave(logIn)));
}

/* Whoever comes next must not find the one before still in. */
async function leave(next) {
  try {
    await quiet("/api/v1/logout");
  } catch (error) {
    failed(error);
    return;
  }
  next();
}
