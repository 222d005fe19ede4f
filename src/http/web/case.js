// The written case, drawn from its fields; every fact leads to the words it came from.

import { documentUrl, h } from "./dom.js";
import { markdown } from "./markdown.js";

/**
 * The case as a section, what an agent needs first on top. `show(message, span)` brings the words on screen; `use(text)` puts
 * the suggested reply into the box, and is null where this agent may not write.
 */
export function caseView(data, t, show, use) {
  if (!data) return h("section", { class: "case" });
  const part = (title, ...content) => h("section", {}, h("h2", {}, title), ...content);
  const some = (list) => Array.isArray(list) && list.length > 0;
  const slot = (name) => t.slot[name] || name;
  const where = (fact) => h("button", {
    type: "button", class: "link", title: t.show, "aria-label": `#${fact.message} ${t.show}`,
    onclick: () => show(fact.message, fact.span),
  }, `#${fact.message}`);
  const page = (label, where) => h("a", { href: documentUrl("", where), target: "_blank", rel: "noopener" }, label);
  const tag = (label, value, kind = "") => value && h("span", { class: `tag ${kind}` }, `${label}${t.colon}${value}`);
  const items = (list, draw) => h("ul", {}, list.map((item) => h("li", {}, draw(item))));
  return h("section", { class: "case" },
    h("p", { class: "ask", dir: "auto" }, h("q", {}, data.ask.value), " ", where(data.ask)),
    h("p", { class: "tags" },
      tag(t.situation, t.situation_[data.situation] || data.situation, "danger"),
      tag(t.mood, t.mood_[data.mood] || data.mood, data.mood),
      tag(t.language, t.lang_[data.lang] || data.lang)),
    part(t.why, h("p", {}, data.why)),
    some(data.facts) && part(t.facts, h("dl", {},
      data.facts.map((fact) => [h("dt", {}, slot(fact.slot)), h("dd", {}, h("code", { dir: "auto" }, fact.value), " ", where(fact))]))),
    some(data.missing) && part(t.missing, h("p", {}, data.missing.map(slot).join(t.comma))),
    some(data.tried) && part(t.tried, items(data.tried, (fact) => [h("span", { dir: "auto" }, fact.value), " ", where(fact)])),
    data.suggested && part(t.suggested, suggestedView(data.suggested, t, page, use)),
    some(data.nearest) && part(t.nearest, items(data.nearest, (near) => [
      page(near.title, near), " ", near.agent_only && h("span", { class: "tag" }, t.agentOnly),
      h("span", { class: "dim" }, ` ${t.cosine} ${near.cosine.toFixed(2)} · ${t.terms} ${near.terms.toFixed(2)}`)])),
    some(data.said) && part(t.said, items(data.said, (said) => [
      `#${said.message} ${t.outcome[said.outcome] || said.outcome}`,
      said.documents.map((document, index) => [index === 0 ? t.colon : t.comma, page(document, { document })])])),
    some(data.offered) && part(t.offered, items(data.offered, (offer) => offer.title)),
    some(data.masked) && part(t.masked, h("p", {}, data.masked.map((line) => maskedLine(line, t)).join(t.comma))));
}

/** "seed phrase: 1" in the agent's language. */
function maskedLine(line, t) {
  const [kind, count] = line.split(": ");
  return `${t.masks[kind] || kind}${t.colon}${count}`;
}

/** How to reach the customer, or why we cannot say. `given`: the customer has given something. */
export function contactView(contact, given, t) {
  if (!contact || (!given && contact.items.length === 0 && !contact.unreadable)) return [];
  const lines = contact.items.map(({ kind, value }) => [h("dt", {}, t.contact_[kind] || kind), h("dd", {}, h("code", { dir: "auto" }, value))]);
  const note = contact.unreadable ? t.contactUnreadable : lines.length > 0 ? "" : contact.kept ? t.contactGone : t.contactNotKept;
  return [h("section", { class: "case contact" },
    h("h2", {}, t.contact), lines.length > 0 && h("dl", {}, lines), note && h("p", { class: "dim" }, note))];
}

/** The reply that the agent could send, with the document it comes from. */
function suggestedView(suggested, t, page, use) {
  return h("div", { class: "suggested" },
    h("div", { class: "text", dir: "auto" }, markdown(suggested.text)),
    h("p", { class: "dim" },
      use && h("button", { type: "button", onclick: () => use(suggested.text) }, t.useSuggested), " ", page(suggested.document, suggested)));
}

/** The text with the given spans marked; spans count code points. A span that does not fit is left out. */
export function marked(text, facts) {
  const points = Array.from(text);
  const nodes = [];
  let at = 0;
  const fitting = facts
    .filter((fact) => points.slice(fact.span.start, fact.span.end).join("") === fact.value)
    .sort((left, right) => left.span.start - right.span.start);
  for (const { span, slot } of fitting) {
    if (span.start < at) continue;
    nodes.push(points.slice(at, span.start).join(""), h("mark", { title: slot }, points.slice(span.start, span.end).join("")));
    at = span.end;
  }
  nodes.push(points.slice(at).join(""));
  return nodes;
}
