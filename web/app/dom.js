/* Elements, made so that words can only ever be words: nothing here, nor anywhere in this page, parses markup. */

export const $ = (id) => document.getElementById(id);

/* An element: `properties` are attributes, but `on…` functions are listeners and `class`, `text`, `value` what they say.
   `null`, `undefined` and `false` leave an attribute out; `true` writes it empty.  Children are elements or words. */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  put(node, children);
  return node;
}

export function put(node, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

export function fill(node, ...children) {
  node.replaceChildren();
  put(node, children);
}

let numbers = 0;
export const unique = (prefix) => `${prefix}-${(numbers += 1)}`;

/* A label and its field, joined for the eye and for a screen reader; `hint` is read after the field's name. */
export function labelled(words, field, hint = "") {
  field.id ||= unique("field");
  const row = h("div", { class: "field" }, h("label", { for: field.id, text: words }), field);
  if (hint) {
    const id = `${field.id}-hint`;
    field.setAttribute("aria-describedby", id);
    row.append(h("p", { class: "hint", id, text: hint }));
  }
  return row;
}

/* Says something to a screen reader without moving anything. */
export function tell(words) {
  $("told").textContent = words;
}
