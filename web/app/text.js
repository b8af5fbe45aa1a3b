/* Words, numbers and times in the reader's language.  Each language is one file of strings/. */

export const LANGUAGES = { en: "English", de: "Deutsch" };
const CHOSEN = "ambientd.language"; // a preference, not a secret: it may outlive the tab

let strings = {};
let language = "en";

export function chosenLanguage() {
  let wanted = null;
  try {
    wanted = localStorage.getItem(CHOSEN);
  } catch {
    // storage is switched off: the browser's language then
  }
  const all = [wanted, ...(navigator.languages ?? [])].filter(Boolean).map((name) => name.slice(0, 2).toLowerCase());
  return all.find((name) => Object.hasOwn(LANGUAGES, name)) ?? "en";
}

export async function loadStrings() {
  language = chosenLanguage();
  strings = (await import(`../strings/${language}.js`)).default;
  document.documentElement.lang = language;
}

export function chooseLanguage(name) {
  try {
    localStorage.setItem(CHOSEN, name);
  } catch {
    return; // cannot be kept, so it would not hold over the reload either
  }
  location.reload();
}

export function t(key, values = {}) {
  return (strings[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

export const known = (key) => Object.hasOwn(strings, key);

/* `key.one` or `key.other`, with {n}. */
export function counted(key, n, values = {}) {
  const kind = new Intl.PluralRules(language).select(n);
  return t(known(`${key}.${kind}`) ? `${key}.${kind}` : `${key}.other`, { n: number(n), ...values });
}

export function number(value, digits = 0) {
  if (!Number.isFinite(value)) return "–";
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export const percent = (share) => (Number.isFinite(share) ? `${number(share * 100)} %` : "–");

/* Seconds of a conversation as 1:02:03 or 2:03. */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return hours ? `${hours}:${rest}` : rest.replace(/^0(?=\d:)/, "");
}

/* The same in words, for a screen reader. */
export function spokenClock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const minutes = Math.floor(whole / 60);
  return minutes ? t("time.minutes", { minutes, seconds: whole % 60 }) : t("time.seconds", { seconds: whole });
}

export function moment(iso, style = { dateStyle: "medium", timeStyle: "short" }) {
  const at = new Date(iso ?? NaN);
  return Number.isNaN(at.getTime()) ? "–" : new Intl.DateTimeFormat(language, style).format(at);
}

export function dayOf(iso) {
  const at = new Date(iso);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86400000);
  if (days === 0) return t("day.today");
  if (days === 1) return t("day.yesterday");
  return moment(iso, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
}

export function bytes(count) {
  if (!Number.isFinite(count)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${number(value, at > 2 ? 1 : 0)} ${units[at]}`;
}

export function span(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 90) return t("span.seconds", { n: number(seconds) });
  if (seconds < 5400) return t("span.minutes", { n: number(seconds / 60) });
  if (seconds < 172800) return t("span.hours", { n: number(seconds / 3600) });
  return t("span.days", { n: number(seconds / 86400) });
}
