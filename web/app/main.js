/* The page: who is here, which view is open. */

import { $, fill, h } from "./dom.js";
import { Refusal, ask, onLockedOut } from "./api.js";
import { buildBar } from "./bar.js";
import { buildNow } from "./now.js";
import { can, me } from "./me.js";
import { busy } from "./recorder.js";
import { loadStrings, t } from "./text.js";

const NEEDS = { now: "record", visits: "read", box: "see_box" };
let views = [];

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
  try {
    Object.assign(me, await ask("/api/v1/me", { quiet: true }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401) {
      await showEntry(error);
      return;
    }
  }
  await enter();
}

async function enter() {
  const nav = $("nav");
  nav.setAttribute("aria-label", t("nav.label"));
  views = Object.keys(NEEDS).filter((name) => can(NEEDS[name]));
  fill(nav, views.map((name) => h("a", { href: `#${name}`, id: `nav-${name}`, text: t(`nav.${name}`) })));
  nav.hidden = false;
  if (can("record")) {
    await buildNow($("now"));
    buildBar();
  }
  window.addEventListener("hashchange", route);
  await route();
}

/* Modules of other views come when they are first opened: a visit begins with as little as possible. */
const OPEN = {
  visits: async (rest) => (await import("./visits.js")).openVisits($("visits"), rest),
  box: async (rest) => (await import("./box.js")).openBox($("box"), rest),
};

async function route() {
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

async function showEntry(refusal) {
  if (busy()) return; // a visit under way goes on; its socket stays open
  for (const each of Object.keys(NEEDS)) $(each).hidden = true;
  $("nav").hidden = true;
  $("entry").hidden = false;
  (await import("./entry.js")).openEntry($("entry"), refusal);
}

setUp();
