/* The bar that is there on every view: whether anything is recorded, for how long, how loud, and how to stop it. */

import { $, fill, h, tell } from "./dom.js";
import { busy, discard, elapsed, pause, recorder, resume, stop, watch } from "./recorder.js";
import { confirmed, failed } from "./notices.js";
import { clock, spokenClock, t } from "./text.js";

const FLOOR_DB = -60;
const CLIPPING_DB = -0.2;
const ICONS = {
  idle: [120, 120, 120], recording: [200, 30, 40], paused: [180, 110, 0], starting: [120, 120, 120], stopping: [120, 120, 120],
};

export function buildBar() {
  const state = h("span", { class: "bar-words" });
  const time = h("span", { class: "bar-time", role: "timer", "aria-live": "off" });
  const level = h("span", { class: "level-fill" });
  const meter = h("div", {
    class: "level", role: "meter", "aria-label": t("bar.level"), "aria-valuemin": "-60", "aria-valuemax": "0",
  }, level);
  const buttons = {
    pause: button("bar.pause", pause),
    resume: button("bar.resume", resume, "main"),
    stop: button("bar.stop", stop, "main"),
    discard: button("bar.discard", askDiscard, "quiet"),
  };
  const bar = $("bar");
  bar.setAttribute("aria-label", t("bar.label"));
  fill(bar,
    h("a", { class: "bar-state", href: "#now" }, h("span", { class: "dot", "aria-hidden": "true" }), state, time),
    meter,
    h("div", { class: "bar-buttons", role: "group", "aria-label": t("bar.buttons") },
      buttons.resume, buttons.pause, buttons.stop, buttons.discard));
  bar.hidden = false;

  const showTime = () => {
    const on = busy();
    time.textContent = on ? clock(elapsed()) : "";
    time.setAttribute("aria-label", on ? spokenClock(elapsed()) : "");
  };
  const showLevel = () => {
    const { rms, peak } = recorder.level ?? { rms: -120, peak: -120 };
    const share = Math.max(0, Math.min(1, 1 - rms / FLOOR_DB));
    level.style.transform = `scaleX(${share.toFixed(3)})`;
    level.classList.toggle("clipping", peak > CLIPPING_DB);
    meter.setAttribute("aria-valuenow", Math.round(Math.max(FLOOR_DB, Math.min(0, rms))));
    meter.setAttribute("aria-valuetext", loudness(recorder.level));
  };
  let told = "idle";
  const showPhase = () => {
    const { phase } = recorder;
    const shown = phase === "ended" ? "idle" : phase;
    bar.dataset.phase = shown;
    document.body.dataset.phase = shown;
    state.textContent = t(`state.${shown}`);
    meter.hidden = !busy();
    buttons.pause.hidden = phase !== "recording";
    buttons.resume.hidden = phase !== "paused";
    buttons.stop.hidden = !["starting", "recording", "paused"].includes(phase);
    buttons.discard.hidden = !["recording", "paused"].includes(phase);
    const sign = { recording: "● ", paused: "‖ " }[phase] ?? "";
    document.title = `${sign}${t("title")}`;
    $("icon").href = icon(ICONS[shown] ?? ICONS.idle);
    if (phase !== told) tell(t(`told.${phase}`));
    told = phase;
    showTime();
    showLevel();
  };
  watch((what) => {
    if (what === "phase") showPhase();
    if (what === "level") showLevel();
  });
  setInterval(showTime, 500);
  showPhase();
}

function loudness(level) {
  if (!level) return t("level.off");
  if (level.peak > CLIPPING_DB) return t("level.loud");
  if (level.rms < -55) return t("level.silent");
  return t(level.rms < -42 ? "level.faint" : "level.good");
}

function button(key, act, kind = "") {
  return h("button", {
    class: kind, id: key.replace(".", "-"), text: t(key),
    onclick: async ({ currentTarget }) => {
      currentTarget.disabled = true;
      try {
        await act();
      } catch (error) {
        failed(error);
      } finally {
        currentTarget.disabled = false;
      }
    },
  });
}

async function askDiscard() {
  const sure = await confirmed({ title: t("discard.title"), text: t("discard.text"), yes: t("discard.yes"), no: t("discard.no"), danger: true });
  if (sure) await discard();
}

function icon([red, green, blue]) {
  const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='rgb(${red},${green},${blue})'/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
