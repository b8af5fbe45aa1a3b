/* The page: who is here, which view is open. */

import { $, fill, h } from "./dom.js";
import { Refusal, ask, letIn, onLockedOut, post } from "./api.js";
import { buildBar } from "./bar.js";
import { can, me } from "./me.js";
import { confirmed, failed, show } from "./notices.js";
import { buildNow } from "./now.js";
import { busy, recorder } from "./recorder.js";
import { loadStrings, t } from "./text.js";

const NEEDS = { now: "record", visits: "read", box: "see_box" };
const IDLE_CHECK_MS = 15000;
const TOUCH_MS = 60000;
let views = [];
let shut = false; // whether the way in is shown instead of the views

async function setUp() {
  await loadStrings();
  $("broken").remove();
  $("skip").textContent = t("skip");
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("main").focus();
  });
  document.title = t("title");
  onLockedOut(showEntry);
  await whoIsHere();
  performance.mark("usable");
}

/* Anybody who is known gets his views; anybody else the way in. */
async function whoIsHere() {
  try {
    Object.assign(me, await ask("/api/v1/me", { quiet: true }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401) {
      await showEntry(error);
      return;
    }
    // A box without accounts, or one that is not reached: what is asked next tells.
  }
  if (me.locked) await showEntry(new Refusal(401, "locked", ""));
  else await enter();
}

let built = false;

async function enter() {
  shut = false;
  views = Object.keys(NEEDS).filter((name) => can(NEEDS[name]));
  const nav = $("nav");
  nav.setAttribute("aria-label", t("nav.label"));
  fill(nav, views.map((name) => h("a", { href: `#${name}`, id: `nav-${name}`, text: t(`nav.${name}`) })));
  nav.hidden = false;
  showPerson();
  if (!built && can("record")) {
    built = true;
    await buildNow($("now"));
    buildBar();
  }
  await route();
}

function showPerson() {
  const act = (path) => async () => {
    try {
      await post(path);
    } catch (error) {
      failed(error);
      return;
    }
    if (path.endsWith("logout")) location.reload();
    else await showEntry(new Refusal(401, "locked", ""));
  };
  fill($("person"), !me.local && [
    h("span", { class: "person-name", dir: "auto", text: me.name }),
    me.kind === "device" && me.pin === false && h("button", { id: "set-pin", class: "quiet", text: t("pin.set"), onclick: setPin }),
    me.kind !== "emergency" && h("button", { id: "lock", class: "quiet", text: t("lock.now"), onclick: act("/api/v1/lock") }),
    me.kind === "account" && h("button", { id: "log-out", class: "quiet", text: t("entry.out"), onclick: async () => {
      if (busy() && recorder.source === "device") failed(new Refusal(409, "busy", t("entry.out_busy")));
      else await act("/api/v1/logout")();
    } }),
  ]);
}

async function setPin() {
  const input = h("input", { type: "password", inputmode: "numeric", autocomplete: "off", maxlength: "12", "aria-label": t("lock.pin") });
  const sure = await confirmed({ title: t("pin.title"), text: t("pin.text"), yes: t("pin.keep"), no: t("pin.later"), extra: input });
  if (!sure) return;
  try {
    await post("/api/v1/me/pin", { pin: input.value });
    me.pin = true;
    showPerson();
    show(t("pin.kept"));
  } catch (error) {
    failed(error);
  }
}

/* Modules of other views come when they are first opened: a visit begins with as little as possible. */
const OPEN = {
  visits: async (rest) => (await import("./visits.js")).openVisits($("visits"), rest),
  box: async () => (await import("./box.js")).openBox($("box")),
};

async function route() {
  if (shut) return;
  const [name, ...rest] = location.hash.slice(1).split("/");
  const view = views.includes(name) ? name : views[0];
  for (const each of [...Object.keys(NEEDS), "entry"]) $(each).hidden = each !== view;
  for (const each of views) {
    if (each === view) $(`nav-${each}`).setAttribute("aria-current", "page");
    else $(`nav-${each}`).removeAttribute("aria-current");
  }
  $("notices").replaceChildren();
  document.body.dataset.view = view;
  await OPEN[view]?.(rest.map(decodeURIComponent));
}
window.addEventListener("hashchange", route);

/* A recording goes on behind it, and the bar stays. */
async function showEntry(refusal) {
  if (shut) return;
  shut = true;
  for (const each of Object.keys(NEEDS)) $(each).hidden = true;
  $("nav").hidden = true;
  $("person").replaceChildren();
  $("notices").replaceChildren();
  $("entry").hidden = false;
  document.body.dataset.view = "entry";
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  (await import("./entry.js")).openEntry($("entry"), refusal, async ({ paired = false } = {}) => {
    const before = me.id;
    shut = false;
    await whoIsHere();
    const another = built && before && me.id !== before && !(busy() && recorder.source === "device");
    if (!another && !shut) letIn();
    // Without one only somebody with an account unlocks it, and whoever works at a tablet may have none.
    if (paired && !shut && me.kind === "device" && me.pin === false) await setPin();
    // What another person had open must not stand in the page of the next; the room's microphone records without it.
    if (another) location.replace(location.pathname);
  });
}

/* Reading and writing ask the box for nothing, and yet somebody is at work.  Scrolling is not listened to: the text of a
   visit under way scrolls by itself. */
let touched = -Infinity;
function touch() {
  const every = Math.min(TOUCH_MS, (me.lock_seconds || Infinity) * 250);
  if (shut || me.local || !me.lock_seconds || performance.now() - touched < every) return;
  touched = performance.now();
  post("/api/v1/me/seen").catch((error) => {
    if (!(error instanceof Refusal)) throw error; // locked: the way in is shown; away: the next touch tells
  });
}
for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) {
  document.addEventListener(kind, touch, { capture: true, passive: true });
}

/* A log-in that was locked for idleness is shown as locked, not only at the next tap. */
setInterval(async () => {
  if (shut || me.local || document.visibilityState !== "visible") return;
  try {
    const now = await ask("/api/v1/me", { background: true });
    if (now.locked) await showEntry(new Refusal(401, "locked", ""));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error; // 401 has shown the way in already
  }
}, IDLE_CHECK_MS);

setUp();
