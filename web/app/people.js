/* Who may use the box: tablets that ask to be let in, devices, accounts. */

import { fill, h, labelled } from "./dom.js";
import { ask, post } from "./api.js";
import { confirmed, doing, failed } from "./notices.js";
import { moment, t } from "./text.js";

const ROLES = ["clinician", "reader", "operator", "integration"];

export async function people(body, again, state) {
  const [{ pairings }, { devices, emergencies = [] }, { accounts }] = await Promise.all([
    ask("/api/v1/pairings", { background: true }),
    ask("/api/v1/devices", { background: true }),
    ask("/api/v1/accounts", { background: true }),
  ]);
  state.form ??= newAccount(again);
  if (body.contains(document.activeElement) && ["INPUT", "SELECT"].includes(document.activeElement.tagName)) return; // somebody is choosing
  const card = body.closest(".card");
  card.classList.toggle("asked", pairings.length > 0);
  // Somebody stands there with a tablet: not below everything else.
  if (pairings.length > 0 && card.previousElementSibling) card.parentNode.prepend(card);
  fill(body,
    emergencies.map(({ expires_at: until }) => h("p", { class: "remedy", text: t("people.emergency", { until: moment(until) }) })),
    h("h3", { text: t("people.asking") }),
    pairings.length === 0 && h("p", { class: "hint", text: t("people.nobody_asks") }),
    h("ul", { class: "items" }, pairings.map((each) => asking(each, again))),
    h("h3", { text: t("people.devices") }),
    list(devices, "devices", again),
    h("h3", { text: t("people.accounts") }),
    list(accounts, "accounts", again),
    state.form);
}

function roles(chosen) {
  const choice = h("select", { "aria-label": t("people.role") }, ROLES.map((role) => h("option", { value: role, text: t(`role.${role}`) })));
  choice.value = chosen;
  return choice;
}

function asking({ id, name, code, origin }, again) {
  const role = roles("clinician");
  return h("li", { class: "item asking" },
    h("div", {}, h("strong", { dir: "auto", text: name }), h("p", { class: "hint", text: origin }), h("p", { class: "code", text: code })),
    h("div", { class: "row" }, role,
      doing(t("people.approve"), async () => {
        await post(`/api/v1/pairings/${encodeURIComponent(id)}/approve`, { role: role.value, code });
        await again();
      }, { class: "main" }),
      doing(t("people.refuse"), async () => {
        await post(`/api/v1/pairings/${encodeURIComponent(id)}/refuse`);
        await again();
      })));
}

function list(all, kind, again) {
  const standing = all.filter(({ revoked_at: revoked }) => !revoked);
  if (standing.length === 0) return h("p", { class: "hint", text: t(`people.no_${kind}`) });
  return h("ul", { class: "items" }, standing.map(({ id, name, role, seen_at: seen, expires_at: expires }) => h("li", { class: "item" },
    h("div", {}, h("strong", { dir: "auto", text: name }), h("p", { class: "hint", text: [
      t(`role.${role}`), seen && t("people.seen", { at: moment(seen) }), expires && t("people.expires", { at: moment(expires, { dateStyle: "medium" }) }),
    ].filter(Boolean).join(" · ") })),
    doing(t("people.revoke"), async () => {
      const sure = await confirmed({ title: t("people.revoke_title", { name }), text: t("people.revoke_text"), yes: t("people.revoke"), danger: true });
      if (!sure) return;
      await ask(`/api/v1/${kind}/${encodeURIComponent(id)}`, { method: "DELETE" });
      await again();
    }, { class: "quiet bad", "aria-label": t("people.revoke_whom", { name }) }))));
}

function newAccount(again) {
  const name = h("input", { type: "text", maxlength: "64", autocomplete: "off", required: true });
  const role = roles("clinician");
  const told = h("p", { class: "code", role: "status" });
  const form = h("form", {
    class: "new-account",
    onsubmit: async (event) => {
      event.preventDefault();
      try {
        const made = await post("/api/v1/accounts", { name: name.value.trim(), role: role.value });
        told.textContent = t("people.password_once", { name: made.name, password: made.password });
        name.value = "";
        document.activeElement?.blur();
        await again();
      } catch (error) {
        failed(error);
      }
    },
  }, labelled(t("people.name"), name), h("div", { class: "row" }, role, h("button", { text: t("people.add") })));
  return h("details", {}, h("summary", { text: t("people.new") }), form, told);
}
