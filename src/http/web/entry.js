// How what was said is drawn: a bubble with its text, where a reply comes from, and what can be tapped or filled in.

import { clock, documentUrl, h, revisionDay } from "./dom.js";
import { factsForm } from "./facts.js";
import { markdown } from "./markdown.js";
import { withMasks } from "./masks.js";

/** Cards in which we speak of ourselves, not of the product: whoever is greeted asks for no source. */
const OURSELVES = ["small_talk", "off_topic", "injection", "no_language"];

export function bubble(from, t, ...content) {
  const name = { customer: t.you, bot: t.bot, agent: t.agent }[from];
  // Colour and side tell a reader who looks; one who listens needs the word.
  return h("article", { class: `bubble ${from}` }, h("span", { class: from === "customer" ? "who unseen" : "who" }, name), ...content);
}

/**
 * An entry of the conversation. `send(text, choice)` speaks for the customer; `retry()` and `edit()` are for what was not sent;
 * `fields()` is what a short form needs.
 */
export function entryNode(entry, chat) {
  const { t } = chat;
  if (entry.from === "system") {
    const text = { joined: `${entry.agent || t.agent} ${t.joined}`, closed: t.closed, handed_back: t.handedBack, failed: t.failedTurn }[entry.text];
    return h("p", { class: "system" }, text || entry.text);
  }
  if (entry.from === "bot" && entry.reply) return replyNode(entry, chat);
  const time = entry.at && h("time", {}, clock(entry.at, chat.language));
  if (entry.from === "agent") {
    const node = bubble("agent", t, h("div", { class: "text", dir: "auto" }, markdown(entry.text, chat.server)), time || []);
    if (entry.agent) node.firstChild.textContent = `${t.agent} · ${entry.agent}`;
    return node;
  }
  const node = bubble(entry.from, t, h("p", { class: "plain", dir: "auto" }, withMasks(entry.text, t.masks)), time || []);
  node.classList.toggle("sending", Boolean(entry.sending));
  if (entry.hidden) node.append(h("p", { class: "note" }, t.hidden[entry.hidden]));
  if (entry.failed) node.append(failure(entry, chat));
  return node;
}

/** Why a message was not sent, and what the customer can do. */
function failure({ failed }, { t, retry, edit }) {
  const [label, onclick] = failed === "tooLong" ? [t.edit, edit] : [t.retry, retry];
  return h("p", { class: "note", role: "alert" }, `${t.failed} ${t.failure[failed]} `, h("button", { type: "button", class: "small", onclick }, label));
}

function replyNode({ reply }, { t, server, send, fields }) {
  const node = bubble("bot", t, h("div", { class: "text", lang: reply.lang === "zh" ? "zh-Hans" : "en" }, markdown(reply.text, server)));
  if (reply.outcome === "handoff") {
    node.classList.add("handoff");
    node.classList.toggle("danger", reply.reason?.code === "danger");
    if (reply.ticket && !reply.text.includes(reply.ticket)) node.append(h("p", { class: "ticket" }, `${t.caseNumber} ${reply.ticket}`));
  }
  const partial = ["verbatim", "composed"].includes(reply.mode) && reply.citations?.find((citation) => citation.whole === false);
  if (partial) node.append(h("p", { class: "rest" }, link(server, partial, t.rest)));
  const ourselves = reply.mode === "card" && OURSELVES.includes(reply.reason?.code);
  if (reply.citations?.length && !ourselves) node.append(sources(reply, t, server));
  if (reply.outcome === "offer" && reply.offers?.length) node.append(chips(reply.offers, t, send));
  if (reply.outcome === "answer" && reply.offers?.length) node.append(h("p", { class: "note" }, t.alsoAsked), chips(reply.offers, t, send, false));
  if (reply.asks?.length) node.append(factsForm(reply, fields(), t, send));
  return node;
}

/** The way to a person is not among them: it stands below, always at the same place. */
function chips(offers, t, send, none = true) {
  const chip = (label, choice, kind = "") =>
    h("button", { type: "button", class: `chip ${kind}`, dir: "auto", onclick: () => send(label, choice) }, label);
  return h("div", { class: "chips", role: "group", "aria-label": t.offers },
    offers.map((offer) => chip(offer.title, { document: offer.document }, "offer")), none && chip(t.none, "none"));
}

function sources(reply, t, server) {
  const [first, ...others] = reply.citations;
  const more = others.length > 0 ? ` +${others.length}` : "";
  return h("details", {},
    h("summary", {}, `${t.sources}${t.colon}${first.title}${more}`),
    reply.citations.map((citation) => citationView(citation, reply.lang, t, server)));
}

function citationView(citation, replyLang, t, server) {
  const day = revisionDay(citation.revision);
  const about = [day && `${t.revised} ${day}`, citation.lang !== replyLang && t.otherLang[citation.lang]].filter(Boolean);
  return h("div", { class: "source", lang: citation.lang === "zh" ? "zh-Hans" : "en" },
    h("strong", {}, citation.title), about.length > 0 && h("span", { class: "note" }, ` ${about.join(" · ")}`),
    h("blockquote", { dir: "auto" }, markdown(citation.quote, server)),
    link(server, citation, t.open));
}

function link(server, citation, label) {
  return h("a", { href: documentUrl(server, citation), target: "_blank", rel: "noopener" }, label);
}
