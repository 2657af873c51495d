// Elements without any HTML string: every value becomes a text node or an attribute.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export const h = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// A link to another server: only to a web page, and without telling it where from.
export function outside(href, ...children) {
  if (!/^https?:\/\//.test(href ?? "")) return h("span", null, ...children);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

export function moment(text) {
  if (!text) return "";
  const iso = new Date(text).toISOString();
  const shown = `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
  return h("time", { datetime: iso, title: iso }, shown);
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 120) return `${Math.round(value * 10) / 10} s`;
  const rest = Math.round(value % 60);
  return `${Math.floor(value / 60)} min${rest ? ` ${rest} s` : ""}`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1e6) return `${Math.round(value / 1e3)} kB`;
  return value < 1e9 ? `${Math.round(value / 1e6)} MB` : `${Math.round(value / 1e8) / 10} GB`;
}

export const days = (value) =>
  value === null || value === undefined ? "–" : `${Math.round(value * 10) / 10} d`;

export const number = (value) => (value === null || value === undefined ? "–" : String(value));

export const badge = (text, kind) => h("span", { class: `bh-badge bh-${kind}` }, text);

let tables = 0;

// A table that scrolls by itself, also with the keyboard.
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return h("p", { class: "bh-empty" }, empty);
  tables += 1;
  const id = `bh-caption-${tables}`;
  return h(
    "div",
    { class: "bh-scroll", tabindex: "0", role: "region", "aria-labelledby": id },
    h(
      "table",
      null,
      h("caption", { id }, caption),
      h("thead", null, h("tr", null, columns.map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", null, rows),
    ),
  );
}

export const row = (first, ...cells) =>
  h("tr", null, h("th", { scope: "row" }, first), cells.map((cell) => h("td", null, cell)));
