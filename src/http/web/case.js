// The written case, drawn from its fields; every fact leads to the words it came from.

import { documentUrl, h } from "./dom.js";

/** The case as a section. `show(message, span)` brings the words on screen. */
export function caseView(data, t, show) {
  if (!data) return h("section", { class: "case" });
  const part = (title, ...content) => h("section", {}, h("h3", {}, title), ...content);
  const some = (list) => Array.isArray(list) && list.length > 0;
  const where = (fact) => h("button", {
    type: "button", class: "link", title: t.show, "aria-label": `${t.show}: ${t.message} ${fact.message}`,
    onclick: () => show(fact.message, fact.span),
  }, `#${fact.message}`);
  const tag = (label, value, kind = "") => value && h("span", { class: `tag ${kind}` }, `${label}: ${value}`);
  return h("section", { class: "case" },
    h("p", { class: "ask" }, h("q", {}, data.ask.value), " ", where(data.ask)),
    h("p", { class: "tags" },
      tag(t.situation, data.situation, "danger"), tag(t.mood, t.mood_[data.mood] || data.mood, data.mood), tag(t.language, data.lang)),
    part(t.why, h("p", {}, data.why)),
    some(data.facts) && part(t.facts, h("table", {}, h("tbody", {},
      data.facts.map((fact) => h("tr", {}, h("th", {}, fact.slot), h("td", {}, h("code", {}, fact.value)), h("td", {}, where(fact))))))),
    some(data.missing) && part(t.missing, h("p", {}, data.missing.join(", "))),
    some(data.tried) && part(t.tried, h("ul", {}, data.tried.map((fact) => h("li", {}, fact.value, " ", where(fact))))),
    some(data.said) && part(t.said, h("ul", {}, data.said.map((said) =>
      h("li", {}, `#${said.message} ${t.outcome[said.outcome] || said.outcome}: ${said.documents.join(", ")}`)))),
    some(data.offered) && part(t.offered, h("ul", {}, data.offered.map((offer) => h("li", {}, offer.title)))),
    some(data.nearest) && part(t.nearest, h("ul", { class: "nearest" }, data.nearest.map((near) => h("li", {},
      h("a", { href: documentUrl("", near), target: "_blank", rel: "noopener" }, near.title),
      near.agent_only && h("span", { class: "tag" }, t.agentOnly),
      h("span", { class: "dim" }, ` ${t.cosine} ${near.cosine.toFixed(2)} · ${t.terms} ${near.terms.toFixed(2)}`))))),
    some(data.masked) && part(t.masked, h("p", {}, data.masked.join(", "))));
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
