// Makes elements. Names of stations, devices and alerts come from outside and may hold anything, so text only ever goes
// in as text: nothing on this page is built by parsing HTML (the page's policy forbids it as well: trusted-types 'none').

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** An HTML element; an attribute that is a function listens to the event of that name. */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const drawn = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** One of the shapes that the page holds; the word for it always stands beside it. */
export const shape = (name, kind = "") =>
  drawn("svg", { class: `shape ${kind}`, "aria-hidden": "true" }, drawn("use", { href: `#${name}` }));

export const byId = (id) => document.getElementById(id);

/** Sets text only if it is another one, so that selections and screen readers are left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute only if it is another one. */
export function mark(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Puts exactly these children into a parent, moving as few as possible: a focused element that stays keeps its focus. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, place) => {
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
}
