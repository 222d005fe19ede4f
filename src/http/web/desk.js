// The desk: the queue on the left, a ticket with its case and conversation on the right, live.

import { caseView, contactView, marked } from "./case.js";
import { WORDS } from "./desk_words.js";
import { clock, h, memory, randomKey } from "./dom.js";
import { markdown } from "./markdown.js";
import { WORDS as CHAT_WORDS, langOf } from "./words.js";

const desk = {
  lang: memory.get("deskhand:desk:lang") || langOf(navigator.language),
  name: memory.get("deskhand:desk:name") || "",
  tab: "open",
  tickets: [],
  defaultCards: [],
  open: null,
  drafts: new Map(),
  seen: null,
  fresh: 0,
  offline: false,
};

/** What stands on the screen; empty until somebody has signed in. */
let parts = {};

/** The names of what is hidden are the chat's. */
const words = () => ({ masks: CHAT_WORDS[desk.lang].masks, ...WORDS[desk.lang] });

/** A request that was refused. `status` is 0 where the server could not be reached. */
class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function api(path, body, method = body ? "POST" : "GET", headers = {}) {
  const response = await fetch(path, {
    method, credentials: "same-origin", body: body && JSON.stringify(body),
    headers: { "content-type": "application/json", accept: "application/json", "x-deskhand": "1", ...headers },
  }).catch(() => { throw new Refused(0, words().unreachable); });
  const found = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return found;
  if (response.status === 401 && path !== "/v1/desk/session") signInView(parts.desk ? words().signedOut : "");
  throw new Refused(response.status, found?.error?.text || `HTTP ${response.status}`);
}

// Signing in.

function signInView(problem = "") {
  desk.events?.close();
  keepDraft();
  const t = words();
  document.documentElement.lang = desk.lang === "zh" ? "zh-Hans" : "en";
  const token = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true });
  const name = h("input", { name: "name", autocomplete: "name", required: true, maxlength: "64", pattern: ".*\\S.*" });
  name.value = desk.name;
  const submit = async (event) => {
    event.preventDefault();
    desk.name = name.value.trim();
    memory.set("deskhand:desk:name", desk.name);
    try {
      await api("/v1/desk/session", { token: token.value.trim() });
      await begin();
    } catch (error) {
      signInView(error.status === 401 ? words().wrongToken : error.message);
    }
  };
  document.title = t.desk;
  document.body.replaceChildren(h("main", { class: "sign-in" }, h("form", { onsubmit: submit },
    h("h1", {}, t.desk),
    h("label", {}, t.name, name),
    h("label", {}, t.token, token), h("p", { class: "dim" }, t.tokenHelp),
    h("p", { role: "alert", class: "bad" }, problem),
    h("button", { class: "main" }, t.signIn),
    h("button", { type: "button", onclick: () => { desk.name = name.value; speak(); signInView(); } }, t.switch))));
  (desk.name ? token : name).focus();
}

function speak() {
  desk.lang = desk.lang === "zh" ? "en" : "zh";
  memory.set("deskhand:desk:lang", desk.lang);
}

// The frame.

function frame() {
  const t = words();
  document.documentElement.lang = desk.lang === "zh" ? "zh-Hans" : "en";
  parts = {
    desk: h("div", { class: "desk" }),
    tabs: h("nav", { class: "tabs", "aria-label": t.queue }),
    list: h("ul", { class: "queue" }),
    cards: h("details", { class: "dim cards" }),
    ticket: h("main", { class: "ticket", tabindex: "-1" }, h("p", { class: "dim choose" }, t.choose)),
    status: h("p", { class: "dim", role: "status" }),
    problem: h("p", { class: "problem", role: "alert" }),
    news: h("p", { class: "unseen", "aria-live": "assertive" }),
  };
  const inOtherLanguage = () => { keepDraft(); speak(); frame(); drawQueue(); reload().catch(report); };
  const signOut = () => api("/v1/desk/session", undefined, "DELETE").then(forget, report);
  parts.desk.append(
    h("aside", { "aria-label": t.queue },
      h("header", {}, h("h1", {}, t.desk), h("span", { class: "dim" }, desk.name),
        h("button", { type: "button", onclick: inOtherLanguage }, t.switch),
        h("button", { type: "button", onclick: signOut }, t.signOut)),
      parts.tabs, parts.status, parts.list, parts.cards, parts.news),
    h("div", { class: "right" }, parts.problem, parts.ticket));
  document.body.replaceChildren(parts.desk);
  parts.desk.classList.toggle("reading", Boolean(desk.open));
  showStatus();
}

/** Leaves nothing of this agent's for the next one at this screen. */
function forget() {
  parts = {};
  desk.open = null;
  desk.seen = null;
  desk.drafts.clear();
  signInView();
}

/** Says what went wrong. Signed out, the screen says it already. */
function report(error) {
  if (parts.problem && error.status !== 401) parts.problem.textContent = error.status === 409 ? words().conflict : error.message;
}

/** Back to the queue: on a phone the ticket gives way to it. */
function leave() {
  keepDraft();
  const number = desk.open;
  desk.open = null;
  parts.drawn = undefined;
  parts.ticket.replaceChildren(h("p", { class: "dim choose" }, words().choose));
  parts.desk.classList.remove("reading");
  drawQueue();
  (parts.list.querySelector(`[data-number="${CSS.escape(number)}"]`) || parts.tabs.firstChild).focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing && desk.open && parts.desk?.isConnected) leave();
});

function showStatus() {
  if (parts.status) parts.status.textContent = desk.offline ? words().offline : "";
}

// The queue.

async function readQueue() {
  const { tickets, default_cards: defaultCards } = await api("/v1/desk/tickets?limit=1000");
  Object.assign(desk, { tickets, defaultCards });
}

async function refresh() {
  await readQueue();
  bell();
  drawQueue();
}

/** Title and announcement for tickets that were not there before. */
function bell() {
  const waiting = desk.tickets.filter((ticket) => ticket.state === "open");
  const numbers = new Set(waiting.map((ticket) => ticket.number));
  const fresh = desk.seen ? waiting.filter((ticket) => !desk.seen.has(ticket.number)) : [];
  desk.seen = new Set([...(desk.seen || []), ...numbers]);
  if (fresh.length > 0) {
    if (document.hidden) desk.fresh += fresh.length;
    parts.news.textContent = `${words().news} ${fresh.map((ticket) => `${ticket.number} ${words().reason[ticket.reason] || ""}`).join(", ")}`;
  }
  document.title = `${desk.fresh > 0 ? "🔔 " : ""}${numbers.size > 0 ? `(${numbers.size}) ` : ""}${words().desk}`;
}

function waited(ticket) {
  const t = words();
  const minutes = Math.max(0, Math.floor(((ticket.closed_ms || Date.now()) - ticket.created_ms) / 60000));
  if (minutes < 60) return `${minutes} ${t.minutes}`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} ${t.hours} ${minutes % 60} ${t.minutes}` : `${Math.floor(minutes / 1440)} ${t.days}`;
}

/** Why it is here; for danger, which one. */
function whatFor({ situation, reason }) {
  const t = words();
  return situation ? t.situation_[situation] || situation : t.reason[reason] || reason;
}

function drawQueue() {
  const t = words();
  const of = (state) => desk.tickets.filter((ticket) => ticket.state === state);
  parts.tabs.replaceChildren(...["open", "taken", "closed"].map((state) => h("button", {
    type: "button", "aria-pressed": String(desk.tab === state), onclick: () => { desk.tab = state; drawQueue(); },
  }, `${t.tabs[state]} ${of(state).length}`)));
  const shown = of(desk.tab);
  if (desk.tab === "closed") shown.sort((left, right) => right.closed_ms - left.closed_ms);
  const focused = document.activeElement?.dataset?.number;
  parts.list.replaceChildren(...shown.map((ticket) => h("li", {}, h("button", {
    type: "button", class: `line ${ticket.priority}`, "data-number": ticket.number,
    "aria-current": desk.open === ticket.number ? "true" : null, onclick: () => choose(ticket.number),
  },
    h("span", { class: "top" }, h("b", {}, ticket.number), h("span", { class: `tag ${ticket.priority}` }, t.priority[ticket.priority]),
      h("span", { class: "dim waited" }, waited(ticket))),
    h("span", { class: "what", dir: "auto" }, ticket.ask || "…"),
    h("span", { class: "dim" }, [whatFor(ticket), ticket.agent].filter(Boolean).join(" · "))))));
  parts.cards.hidden = desk.defaultCards.length === 0;
  // Drawn once: who has opened it goes on reading.
  if (parts.cards.lastChild?.textContent !== desk.defaultCards.join(t.comma)) {
    parts.cards.replaceChildren(h("summary", {}, `${t.defaultCards} ${desk.defaultCards.length}`), h("p", {}, desk.defaultCards.join(t.comma)));
  }
  if (shown.length === 0) parts.list.append(h("li", { class: "dim" }, t.empty));
  if (focused) parts.list.querySelector(`[data-number="${CSS.escape(focused)}"]`)?.focus();
}

// One ticket.

function keepDraft() {
  const box = parts.ticket?.isConnected && parts.ticket.querySelector("textarea");
  if (parts.drawn && box) desk.drafts.set(parts.drawn.number, box.value);
}

async function choose(number) {
  keepDraft();
  desk.open = number;
  parts.problem.textContent = "";
  parts.desk.classList.add("reading");
  drawQueue();
  await load(number).catch(report);
  parts.ticket.focus();
}

/** The open ticket as it stands now. */
async function reload() {
  if (desk.open) await load(desk.open);
}

async function load(number) {
  const whole = await api(`/v1/desk/tickets/${encodeURIComponent(number)}`);
  if (desk.open === number) drawTicket(whole);
}

/** Draws what has changed. The reply box stays as it is while its ticket does: an agent may be typing in it. */
function drawTicket(whole) {
  const { ticket, case: written, contact, messages } = whole;
  const t = words();
  const before = parts.drawn || {};
  const given = messages.some((message) => message.from === "customer" && /\[(phone|email) \d+\]/.test(message.text));
  const now = { head: JSON.stringify([ticket, written, contact, given]), messages: JSON.stringify(messages), answerable: answerable(ticket) };
  const same = before.number === ticket.number && before.parts?.head.isConnected;
  if (!same) {
    keepDraft();
    parts.drawn = { number: ticket.number, parts: panes(t) };
  }
  const body = parts.drawn.parts;
  if (!same || before.head !== now.head) {
    body.head.replaceChildren(...headOf(ticket).filter(Boolean));
    const use = now.answerable ? (text) => insert(body.reply.querySelector("textarea"), text) : null;
    body.written.replaceChildren(...contactView(contact, given, t), caseView(written, t, (message, span) => showWhere(body.talk, message, span), use));
  }
  if (!same || before.answerable !== now.answerable) body.reply.replaceChildren(...replyOf(ticket));
  if (!same || before.messages !== now.messages) {
    const atEnd = body.talk.scrollHeight - body.talk.scrollTop - body.talk.clientHeight < 160;
    body.talk.replaceChildren(...messages.map((message) => messageView(message, written)));
    if (!same || atEnd) body.talk.scrollTop = body.talk.scrollHeight;
  }
  Object.assign(parts.drawn, now);
}

/** An empty ticket on the screen: head, case, conversation, reply. */
function panes(t) {
  const body = {
    head: h("header"), written: h("div", { class: "written", tabindex: "0", role: "region", "aria-label": t.case }),
    talk: h("ol", { class: "transcript", tabindex: "0", "aria-label": t.conversation }), reply: h("div", { class: "answer" }),
  };
  parts.ticket.replaceChildren(body.head, h("div", { class: "panes" }, body.written, body.talk), body.reply);
  return body;
}

/** Puts a text into the reply box, below what the agent has written already. */
function insert(box, text) {
  box.value = box.value.trim() ? `${box.value.trimEnd()}\n\n${text}` : text;
  box.focus();
}

/** Whether this agent may write to the customer. */
function answerable(ticket) {
  return ticket.state === "open" || (ticket.state === "taken" && ticket.agent === desk.name);
}

function headOf(ticket) {
  const t = words();
  const act = (name, question) => async () => {
    if (question && !confirm(question)) return;
    await tell(() => api(`/v1/desk/tickets/${encodeURIComponent(ticket.number)}/${name}`, { agent: desk.name }));
  };
  const button = (label, onclick, kind = "") => h("button", { type: "button", class: kind, onclick }, label);
  const closed = ticket.state === "closed";
  return [
    h("button", { type: "button", class: "back", onclick: leave }, `‹ ${t.queue}`),
    h("h1", {}, ticket.number), h("span", { class: `tag ${ticket.priority}` }, t.priority[ticket.priority]),
    h("span", { class: "dim facts" },
      [whatFor(ticket), `${t.since} ${clock(ticket.created_ms, desk.lang)}`, ticket.agent && `${t.taken} ${ticket.agent}`]
        .filter(Boolean).join(" · ")),
    ticket.state === "open" && button(t.take, act("take"), "main"),
    !closed && button(t.handBack, act("hand_back")),
    !closed && button(t.close, act("close", t.confirmClose)),
    closed && h("span", { class: "dim" }, t.closedNow),
  ];
}

function replyOf(ticket) {
  if (!answerable(ticket)) return [];
  const t = words();
  const box = h("textarea", { rows: "3", dir: "auto", "aria-label": t.replyTo, placeholder: `${t.replyTo} (${t.keys})` });
  box.value = desk.drafts.get(ticket.number) || "";
  let key = randomKey();
  const send = async () => {
    const text = box.value.trim();
    if (!text || button.disabled) return;
    button.disabled = true;
    const path = `/v1/desk/tickets/${encodeURIComponent(ticket.number)}/reply`;
    const sent = await tell(async () => {
      await api(path, { agent: desk.name, text }, "POST", { "idempotency-key": key });
      // The next reply is another one; a failed one keeps its key, so that trying again sends it once.
      key = randomKey();
      if (box.value.trim() === text) box.value = "";
      desk.drafts.delete(ticket.number);
    });
    button.disabled = false;
    if (sent) box.focus();
  };
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
  });
  const button = h("button", { type: "button", class: "main", onclick: send }, t.send);
  return [box, button];
}

/** Does it, says what went wrong, and brings the screen up to date. Whether it was done. */
async function tell(act) {
  parts.problem.textContent = "";
  const done = await act().then(() => true, (error) => { report(error); return false; });
  if (parts.desk.isConnected) await Promise.all([refresh(), reload()]).catch(report);
  return done;
}

function messageView(message, written) {
  const t = words();
  const who = message.from === "agent" && message.agent ? `${t.from.agent} · ${message.agent}` : t.from[message.from];
  const facts = [...(written?.facts || []), ...(written?.tried || [])].filter((fact) => fact.message === message.message);
  const text = message.from === "customer" ? h("p", { class: "plain", dir: "auto" }, marked(message.text, facts.map((fact) => ({ ...fact, slot: t.slot[fact.slot] || t.tried }))))
    : message.from === "system" ? h("p", { class: "dim" }, t.system[message.text] || message.text)
    : h("div", { class: "text", dir: "auto" }, markdown(message.text));
  return h("li", { class: message.from, id: `message-${message.message}`, tabindex: "-1" },
    h("span", { class: "dim" }, `#${message.message} ${who} · ${clock(message.created_ms, desk.lang)}`), text);
}

function showWhere(transcript, number, span) {
  const item = transcript.querySelector(`#message-${Number(number)}`);
  if (!item) return;
  item.scrollIntoView({ block: "center" });
  item.focus({ preventScroll: true });
  const paragraph = item.querySelector("p.plain");
  if (!paragraph || !span) return;
  const value = Array.from(paragraph.textContent).slice(span.start, span.end).join("");
  paragraph.replaceChildren(...marked(paragraph.textContent, [{ span, value, slot: "" }]));
}

// Live.

let refreshTimer;

function soon(number) {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(async () => {
    await refresh().catch(() => {});
    if (number && number === desk.open) await load(number).catch(() => {});
  }, 150);
}

function listen() {
  desk.events?.close();
  const events = new EventSource("/v1/desk/events");
  desk.events = events;
  events.onopen = () => { desk.offline = false; showStatus(); soon(desk.open); };
  events.addEventListener("ticket", (event) => {
    const { number } = JSON.parse(event.data);
    soon(number === desk.open ? number : null);
  });
  events.addEventListener("reload", () => soon(desk.open));
  events.onerror = () => {
    if (events !== desk.events) return;
    desk.offline = true;
    showStatus();
    if (events.readyState === EventSource.CLOSED) {
      // Refused: signed out, or the server is starting. Asking for the queue tells which.
      setTimeout(() => refresh().then(listen).catch((error) => error.status === 401 || listen()), 3000);
    }
  };
}

async function begin() {
  await readQueue();
  frame();
  bell();
  drawQueue();
  listen();
  await reload().catch(report);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && parts.list) { desk.fresh = 0; bell(); }
});
setInterval(() => { if (parts.list?.isConnected) drawQueue(); }, 30000);

if (desk.name) begin().catch((error) => error.status === 401 || signInView(error.message));
else signInView();
