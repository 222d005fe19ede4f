// <deskhand-chat server="https://support.example" lang="zh" customer="user-4711"></deskhand-chat>: the customer's side of a
// conversation. `customer` is the host's own id, by which `deskhand admin erase` finds what is kept; leave it out or pass one.
//
// What the customer types is shown at once and sent in order, each with a key, so that trying again never says it twice. What
// comes back arrives as numbered events: after a lost connection or a reload the page reads on where it was.

import { h, memory, randomKey } from "./dom.js";
import { bubble, entryNode } from "./entry.js";
import { closeForms } from "./facts.js";
import { Left, Typed, askAgain, drawBacks } from "./kept.js";
import { markdown } from "./markdown.js";
import { hiddenIn } from "./masks.js";
import { WORDS, langOf } from "./words.js";

const HERE = new URL(import.meta.url);
const STYLE = new CSSStyleSheet();
STYLE.replaceSync(await (await fetch(new URL("widget.css", HERE))).text());

const EVENTS = ["message", "replaced", "step", "sentence", "answer", "offer", "handoff", "error"];
/** After so long without a reply we say that it takes longer. */
const SLOW_MS = 12000;
/** A message that cannot be sent is tried again for so long. */
const LIMIT_SENDING_MS = 60000;
/** How often we look into the conversations that the customer has left. */
const LOOK_MS = 20000;
/** Statuses that may be others a moment later. */
const PASSING = [408, 429, 500, 502, 503, 504];

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// An element has properties of its own, and setting one sets its attribute: no field here may be named `id`, `lang`, `hidden`.
class DeskhandChat extends HTMLElement {
  connectedCallback() {
    if (this.shadowRoot) return;
    this.server = (this.getAttribute("server") || HERE.origin).replace(/\/$/, "");
    if (this.server === location.origin) this.server = "";
    this.store = `deskhand:${this.server || location.origin}`;
    this.language = memory.get(`${this.store}:lang`) || langOf(this.getAttribute("lang") || navigator.language);
    this.enter(memory.get(this.store));
    this.left = new Left(`${this.store}:left`);
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [STYLE];
    if (memory.get(`${this.store}:large`)) this.setAttribute("large", "");
    this.reset();
    this.build();
    this.resume();
    this.lookTimer = setInterval(() => document.hidden || this.lookBack(), LOOK_MS);
    this.lookBack();
  }

  disconnectedCallback() {
    this.events?.close();
    clearTimeout(this.retryTimer);
    clearTimeout(this.slowTimer);
    clearInterval(this.lookTimer);
  }

  reset() {
    this.state = "bot";
    this.ticket = null;
    this.agent = null;
    this.last = 0;
    this.pending = [];
    this.queue = Promise.resolve();
    this.history = [];
    this.draft = null;
    this.tries = 0;
    this.asked = false;
  }

  /** From now on this conversation is on the screen, here and after a reload; null for one that has not begun. */
  enter(conversation) {
    this.conversation = conversation;
    memory.set(this.store, conversation);
    this.typed = new Typed(`${this.store}:typed:${conversation}`);
  }

  get words() {
    return WORDS[this.language];
  }

  // What stands on the screen.

  build() {
    const t = this.words;
    const draft = this.input?.value || "";
    this.log = h("div", {
      class: "log", role: "log", "aria-live": "polite", "aria-label": t.log, tabindex: "0",
      onscroll: () => { this.atEnd = this.nearEnd(); },
    });
    this.status = h("p", { class: "status", role: "status" });
    this.hint = h("p", { class: "hint", role: "status" });
    this.input = h("textarea", {
      rows: "1", dir: "auto", placeholder: t.placeholder, "aria-label": t.placeholder, enterkeyhint: "send",
      onkeydown: (event) => {
        // Enter that ends a Chinese composition is not "send".
        if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
        event.preventDefault();
        this.submit();
      },
      oninput: () => this.grow(),
    });
    this.input.value = draft;
    const button = (name, label, act, more = {}) => h("button", { type: "button", class: name, onclick: act, ...more }, label);
    this.person = button("person", t.person, () => this.send(this.words.person, "person"), { "aria-disabled": String(this.asked) });
    const plus = h("span", { class: "icon", "aria-hidden": "true" }, "+");
    this.fresh = button("small fresh", [h("span", { class: "label" }, t.again), plus], () => this.again(), { title: t.again });
    this.backs = h("nav", { class: "backs", "aria-label": t.left, "aria-live": "polite" });
    this.shadowRoot.replaceChildren(
      h("section", { class: "chat", lang: this.language === "zh" ? "zh-Hans" : "en", "aria-label": t.title },
        h("header", {},
          h("div", { class: "name" }, h("h2", {}, t.title), this.status),
          button("small large", "A+", () => this.enlarge(), {
            "aria-label": `A+ ${t.larger}`, title: t.larger, "aria-pressed": String(this.hasAttribute("large")),
          }),
          button("small switch", t.switch, () => this.speak(this.language === "zh" ? "en" : "zh"), { lang: this.language === "zh" ? "en" : "zh-Hans" }),
          this.fresh),
        this.backs,
        h("p", { class: "safety" }, h("span", { class: "long" }, t.safety), h("span", { class: "short" }, t.safetyShort)),
        this.log, this.hint,
        h("form", { class: "say", onsubmit: (event) => { event.preventDefault(); this.submit(); } },
          this.input, h("button", { type: "submit", class: "send" }, t.send), this.person)));
    this.log.append(bubble("bot", t, h("p", {}, t.hello)));
    for (const entry of this.history) this.draw(entry);
    if (this.draft) this.log.append(this.draft.node);
    this.sizes?.disconnect();
    // A keyboard that slides in, or a line of status, takes room: whoever was at the end stays there.
    this.sizes = new ResizeObserver(() => this.atEnd && this.toEnd());
    this.sizes.observe(this.log);
    this.toEnd();
    this.grow();
    this.showStatus();
    this.showLeft();
    this.showHint(this.waiting);
  }

  speak(language) {
    this.language = language;
    memory.set(`${this.store}:lang`, language);
    this.build();
    this.shadowRoot.querySelector(".switch").focus();
  }

  /** What stands around a conversation that has begun is less. */
  begun() {
    this.fresh.hidden = this.history.length === 0;
    this.fresh.closest(".chat")?.classList.toggle("begun", !this.fresh.hidden);
  }

  enlarge() {
    const large = this.toggleAttribute("large");
    memory.set(`${this.store}:large`, large ? "1" : null);
    this.shadowRoot.querySelector(".large").setAttribute("aria-pressed", String(large));
    this.grow();
  }

  /** The box is as high as what stands in it, up to the style's limit. */
  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
  }

  showStatus() {
    const t = this.words;
    const parts = [];
    if (this.offline) parts.push(t.offline);
    if (this.ticket) parts.push(`${t.caseNumber} ${this.ticket}`);
    if (this.state === "person") parts.push(this.agent ? `${this.agent} ${t.here}` : t.waiting);
    const text = parts.join(" · ") || t.about;
    if (this.status.textContent !== text) this.status.textContent = text;
    if (this.state === "person" && this.shadowRoot.activeElement === this.person) this.log.focus();
    this.person.hidden = this.state === "person";
    // Without a case that waits for them, the facts have no reader.
    if (this.state !== "person") this.typed.drop(closeForms(this.log, this.input));
    this.begun();
  }

  showLeft() {
    drawBacks(this.backs, this.left.list, this.words, (id) => this.back(id));
  }

  /** Says that a reply is under way, or that none is. */
  showHint(on) {
    if (on && this.waiting && this.hint.firstChild) return;
    clearTimeout(this.slowTimer);
    this.waiting = on;
    const dots = () => h("span", { class: "dots", "aria-hidden": "true" });
    this.hint.replaceChildren(...(on ? [dots(), this.words.typing] : []));
    const slow = () => { this.hint.replaceChildren(dots(), this.words.slow); this.setAsked(false); };
    if (on) this.slowTimer = setTimeout(slow, SLOW_MS);
  }

  nearEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 160;
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.atEnd = true;
  }

  /** Remembers an entry, so that it can be drawn again in the other language, and draws it. */
  add(entry) {
    this.history.push(entry);
    this.draw(entry);
    this.begun();
  }

  draw(entry) {
    // Only follow the conversation when the reader is at its end.
    const follow = this.nearEnd() || entry.from === "customer";
    if (entry.from === "customer") this.settle(entry);
    // The form of a case that has ended would answer another one.
    if (entry.from === "system" && ["closed", "handed_back"].includes(entry.text)) this.typed.drop(closeForms(this.log, this.input));
    const node = this.node(entry);
    entry.node = node;
    this.log.append(node);
    // A long reply is read from its beginning.
    if (follow) this.log.scrollTop = entry.from === "customer" ? this.log.scrollHeight : node.offsetTop - 12;
  }

  /** What was offered is settled by the customer's next word, a form by a line that answers it. */
  settle(entry) {
    const chips = [...this.log.querySelectorAll(".chip:not(:disabled)")];
    if (chips.includes(this.shadowRoot.activeElement)) this.log.focus();
    for (const chip of chips) chip.disabled = true;
    const answered = closeForms(this.log, this.input, entry.text);
    // What is under way may fail: then it is still there after a reload.
    if (entry.sending || entry.failed) entry.answered = answered;
    else this.typed.drop(answered);
  }

  node(entry) {
    return entryNode(entry, {
      t: this.words, language: this.language, server: this.server, send: (text, choice) => this.send(text, choice),
      retry: () => this.post(entry), edit: () => this.edit(entry), fields: () => this.fields(entry),
    });
  }

  fields(entry) {
    const form = this.history.filter(({ reply }) => reply?.asks?.length).indexOf(entry);
    return { form, typed: this.typed.of(form), keep: () => this.typed.keep() };
  }

  redraw(entry) {
    const node = this.node(entry);
    entry.node.replaceWith(node);
    entry.node = node;
    if (this.atEnd) this.toEnd();
  }

  // What the customer does.

  submit() {
    const text = this.input.value.trim();
    if (!text) return;
    this.input.value = "";
    this.grow();
    this.send(text);
    this.input.focus();
  }

  /** Whoever has asked for a person need not ask again while the answer is under way. Not `disabled`: that would lose the focus. */
  setAsked(asked) {
    this.asked = asked;
    this.person.setAttribute("aria-disabled", String(asked));
  }

  /** Takes a message that was refused back into the box. */
  edit(entry) {
    this.drop(entry);
    this.input.value = entry.text;
    this.grow();
    this.input.focus();
  }

  send(text, choice) {
    if (choice === "person" && (this.asked || this.state === "person")) return;
    if (choice === "person") this.setAsked(true);
    const entry = { from: "customer", text, choice, key: randomKey(), sending: true, at: Date.now() };
    this.add(entry);
    this.post(entry);
  }

  /** Sends in order: one after the other, each until it is stored or refused. */
  post(entry) {
    const again = entry.failed;
    entry.failed = null;
    entry.sending = true;
    if (!this.pending.includes(entry)) this.pending.push(entry);
    if (again) this.redraw(entry);
    this.queue = this.queue.then(() => this.postNow(entry));
  }

  async postNow(entry) {
    const until = Date.now() + LIMIT_SENDING_MS;
    // A new conversation leaves behind what the old one had not sent.
    for (let tries = 0; this.history.includes(entry); tries += 1) {
      this.showHint(this.state !== "person");
      const problem = await this.attempt(entry);
      if (!problem) {
        entry.sending = false;
        this.typed.drop(entry.answered || []);
        entry.node.classList.remove("sending");
        // Drawn from the server already, while this waited for the answer.
        if (this.history.some((other) => other !== entry && other.message === entry.message)) this.drop(entry);
        return;
      }
      if (!problem.passing || Date.now() > until) return this.refused(entry, problem.why);
      this.showHint(false);
      await pause(problem.wait_ms || Math.min(8000, 1000 * 2 ** tries));
    }
  }

  /** Sends once. Nothing when it is stored, else why not (a word of `failure`), and whether trying again may help. */
  async attempt(entry) {
    try {
      if (!this.conversation) await this.start(entry);
      const { conversation } = this;
      const body = JSON.stringify({ text: entry.text, choice: entry.choice });
      const path = `/v1/conversations/${conversation}/messages`;
      const response = await this.fetch(path, { method: "POST", body, headers: { "idempotency-key": entry.key } });
      if (response.ok) {
        entry.message = (await response.json()).message;
        return null;
      }
      if (response.status === 404 && !entry.choice?.document) {
        // The server has forgotten the conversation: what was said begins another.
        if (this.conversation === conversation) this.forget();
        return { why: "ours", passing: true };
      }
      const why = { 413: "tooLong", 422: "tooLong", 429: "tooMany", 503: "tooMany" }[response.status] || "ours";
      return { why, passing: PASSING.includes(response.status), wait_ms: 1000 * Number(response.headers.get("retry-after")) };
    } catch {
      return { why: "unreachable", passing: true };
    }
  }

  drop(entry) {
    this.history = this.history.filter((other) => other !== entry);
    this.pending = this.pending.filter((other) => other !== entry);
    entry.node.remove();
  }

  refused(entry, why) {
    this.pending = this.pending.filter((other) => other !== entry);
    entry.sending = false;
    entry.failed = why;
    this.redraw(entry);
    this.setAsked(false);
    this.showHint(false);
  }

  async start(entry) {
    const customer = this.getAttribute("customer") || undefined;
    const body = JSON.stringify({ lang: this.language, channel: "web", customer });
    const response = await this.fetch("/v1/conversations", { method: "POST", body });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const { id } = await response.json();
    // The customer has moved on to another conversation meanwhile; nothing has been said in this one.
    if (!this.history.includes(entry)) throw new Error("left");
    this.enter(id);
    this.listen();
  }

  forget() {
    this.events?.close();
    clearTimeout(this.retryTimer);
    if (!this.left.list.some(({ id }) => id === this.conversation)) this.typed.drop(Object.keys(this.typed.forms));
    this.last = 0;
    this.offline = false;
    this.enter(null);
  }

  again() {
    const dialog = askAgain(this.words, this.ticket, () => this.begin());
    this.shadowRoot.querySelector(".chat").append(dialog);
    dialog.showModal();
  }

  /** A new conversation. One whose case is with a person stays in reach: the reply comes into it, and nowhere else. */
  begin() {
    this.left.list = this.left.list.filter((one) => one.ticket);
    if (this.ticket) this.setAside();
    this.move(null);
  }

  /** Back to a conversation that was left; the one on the screen stays in reach in its turn. */
  back(id) {
    this.left.drop(id);
    if (this.conversation) this.setAside();
    this.move(id);
  }

  setAside() {
    const agents = this.history.filter((entry) => entry.from === "agent").length;
    this.left.put({ id: this.conversation, ticket: this.ticket, agents, sign: null });
  }

  move(conversation) {
    this.forget();
    this.reset();
    this.enter(conversation);
    this.showHint(false);
    this.build();
    this.resume();
    this.input.focus();
  }

  async lookBack() {
    await this.left.look((id) => this.read(id));
    this.showLeft();
  }

  fetch(path, options = {}) {
    const headers = { "content-type": "application/json", ...options.headers };
    return fetch(this.server + path, { ...options, headers, credentials: "same-origin" });
  }

  // What comes back.

  /** A conversation as it is stored; null where the server has forgotten it. */
  async read(id) {
    const response = await this.fetch(`/v1/conversations/${id}/messages`);
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return response.json();
  }

  async resume() {
    if (!this.conversation) return;
    const { conversation } = this;
    try {
      const found = await this.read(conversation);
      if (this.conversation !== conversation) return;
      // Begin anew rather than speak into the void.
      if (!found) return this.forget();
      this.restore(found);
      this.setOffline(false);
      this.listen();
    } catch {
      if (this.conversation !== conversation) return;
      this.setOffline(true);
      this.later(() => this.resume());
    }
  }

  /** Shows a stored conversation. */
  restore(found) {
    this.state = found.state;
    this.ticket = found.ticket;
    this.last = found.last_event;
    for (const message of found.messages) {
      const { message: number, from, text, reply, agent } = message;
      this.add({ message: number, from, text, reply, agent, at: message.created_ms });
      if (message.from === "agent") this.agent = message.agent;
      if (message.from === "system") this.agent = null;
    }
    const newest = found.messages.at(-1);
    if (newest?.from === "customer" && this.state === "bot") this.showHint(true);
    this.toEnd();
  }

  listen() {
    this.events?.close();
    const events = new EventSource(`${this.server}/v1/conversations/${this.conversation}/events?after=${this.last}`);
    this.events = events;
    events.onopen = () => { this.tries = 0; this.setOffline(false); };
    for (const kind of EVENTS) {
      events.addEventListener(kind, (event) => {
        if (event.data === undefined) return this.dropped(events);
        const number = Number(event.lastEventId);
        if (number && number <= this.last) return;
        if (number) this.last = number;
        this.happened(kind, JSON.parse(event.data));
      });
    }
  }

  /** The browser reconnects by itself, unless the server refused. */
  dropped(events) {
    if (events !== this.events) return;
    this.setOffline(true);
    if (events.readyState === EventSource.CLOSED) this.later(() => this.listen());
  }

  later(act) {
    clearTimeout(this.retryTimer);
    this.tries = Math.min(this.tries + 1, 5);
    this.retryTimer = setTimeout(act, 1000 * 2 ** (this.tries - 1));
  }

  setOffline(offline) {
    this.offline = offline;
    this.showStatus();
  }

  happened(kind, data) {
    if (kind === "message") return this.said(data);
    if (kind === "replaced") return this.replaced();
    if (kind === "sentence") return this.hearSentence(data);
    this.dropDraft();
    if (kind === "step") {
      if (this.state !== "person") this.showHint(true);
      return;
    }
    this.showHint(false);
    this.setAsked(false);
    if (kind === "error") return this.add({ from: "system", text: "failed" });
    if (kind === "handoff") {
      this.state = "person";
      // A card for the case that an agent has already changes nothing about who is there.
      if (data.ticket !== this.ticket) this.agent = null;
      this.ticket = data.ticket || this.ticket;
    }
    this.add({ from: "bot", reply: data });
    this.showStatus();
  }

  /** A secret was found in what was said before: nothing of it may stay on the screen. What is not sent yet stays. */
  async replaced() {
    const { conversation } = this;
    this.dropDraft();
    try {
      const found = await this.read(conversation);
      if (this.conversation !== conversation || !found) return;
      const stored = new Set(found.messages.map((message) => message.message));
      const unsent = this.history.filter((entry) => entry.from === "customer" && (entry.sending || entry.failed) && !stored.has(entry.message));
      this.history = [];
      this.pending = unsent;
      this.log.replaceChildren(bubble("bot", this.words, h("p", {}, this.words.hello)));
      this.restore(found);
      for (const entry of unsent) this.add(entry);
      this.showStatus();
      // What happened while this was under way is told again.
      this.listen();
    } catch {
      if (this.conversation === conversation) this.later(() => this.replaced());
    }
  }

  /**
   * The next checked sentence of an answer that is still being written. The whole answer takes its place, and so does a turn
   * that begins anew. Whoever came in the middle waits for the whole.
   */
  hearSentence({ message, number, text }) {
    if (this.state === "person") return;
    const next = this.draft ? this.draft.number + 1 : 1;
    if (number !== next || (this.draft && message !== this.draft.message)) return;
    const follow = this.nearEnd();
    // Busy: a screen reader reads the answer once, when it is whole.
    const node = this.draft?.node || bubble("bot", this.words, h("div", { class: "text" }));
    if (!this.draft) node.setAttribute("aria-busy", "true");
    this.draft = { message, number, node, text: (this.draft?.text || "") + text };
    node.querySelector(".text").replaceChildren(markdown(this.draft.text, this.server));
    if (!node.isConnected) this.log.append(node);
    if (follow) this.toEnd();
    this.waiting = false; // What was slow is not slow any more.
    this.showHint(true);
  }

  dropDraft() {
    this.draft?.node.remove();
    this.draft = null;
  }

  said(message) {
    if (message.from === "customer") return this.echoed(message.text);
    this.dropDraft();
    if (message.from === "agent" || message.text === "joined") {
      this.agent = message.agent || this.agent;
      this.state = "person";
      this.showHint(false);
    } else if (message.text === "closed" || message.text === "handed_back") {
      this.state = message.text === "closed" ? "closed" : "bot";
      this.ticket = null;
      this.agent = null;
    }
    this.add({ from: message.from, text: message.text, agent: message.agent, at: message.from === "agent" ? Date.now() : undefined });
    this.showStatus();
  }

  /** The customer's words come back as they were stored: without secrets. */
  echoed(text) {
    const own = this.pending.find((entry) => entry.text.trim() === text) || this.pending[0];
    // Said in another window.
    if (!own) return this.add({ from: "customer", text, at: Date.now() });
    this.pending = this.pending.filter((entry) => entry !== own);
    own.sending = false;
    own.node.classList.remove("sending");
    if (own.text === text) return;
    own.hidden = hiddenIn(own.text, text);
    own.text = text;
    this.redraw(own);
  }
}

customElements.define("deskhand-chat", DeskhandChat);
