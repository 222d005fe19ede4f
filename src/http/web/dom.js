// Builds elements. Children that are strings become text nodes, never markup.

/** h("button", {class: "chip", onclick: f, "aria-label": "…"}, "text", otherNode) */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A random key; `crypto.randomUUID` exists on secure pages only. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** "14:05" or "2:05 PM" today, as the language has it; else with the day. */
export function clock(ms, lang) {
  const date = new Date(ms);
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? {} : { month: "short", day: "numeric" };
  const hour = lang === "zh" ? { hour: "2-digit", hourCycle: "h23" } : { hour: "numeric" };
  return date.toLocaleString(lang === "zh" ? "zh-CN" : "en", { ...day, ...hour, minute: "2-digit" });
}

/** The day in a revision such as 3f9a1c22-2026-11-22; null where there is none. */
export function revisionDay(revision) {
  const found = /(\d{4}-\d{2}-\d{2})$/.exec(revision || "");
  return found ? found[1] : null;
}

/** The page of a document as it was cited. */
export function documentUrl(server, { document, revision, lang }) {
  const query = new URLSearchParams();
  if (revision) query.set("revision", revision);
  if (lang) query.set("lang", lang);
  return `${server}/v1/documents/${encodeURIComponent(document)}?${query}`;
}

/** A storage of the browser; where it is refused, this page's own memory. */
function keeper(storage) {
  const spare = new Map();
  return {
    get(key) {
      try { return storage().getItem(key); } catch { return spare.get(key) ?? null; }
    },
    set(key, value) {
      try { value === null ? storage().removeItem(key) : storage().setItem(key, value); } catch { spare.set(key, value); }
    },
  };
}

/** What every tab remembers, and what this tab does until it is closed. */
export const memory = keeper(() => localStorage);
export const tabMemory = keeper(() => sessionStorage);
