/* Who is here and what he may do.  A box without accounts, and whoever is at the box itself, may do everything. */

export const me = { id: "", name: "", role: "local", local: true, permissions: null };

export const can = (permission) => me.permissions === null || me.permissions.includes(permission);
