// <deskhand-chat server="https://support.example" lang="zh"></deskhand-chat>: the customer's side of a conversation.
//
// What the customer types is shown at once and sent in order, each with a key, so that trying again never says it twice. What
// comes back arrives as numbered events: after a lost connection or a reload the page reads on where it was.

import { clock, documentUrl, h, memory, randomKey, revisionDay } from "./dom.js";
import { markdown } from "./markdown.js";
import { WORDS, langOf } from "./words.js";

const HERE = new URL(import.meta.url);
const STYLE = new CSSStyleSheet();
STYLE.replaceSync(await (await fetch(new URL("widget.css", HERE))).text());

const EVENTS = ["message", "step", "sentence", "answer", "offer", "handoff", "error"];
/** After so long without a reply we say that it takes longer. */
const SLOW_MS = 12000;

class DeskhandChat extends HTMLElement {
  connectedCallback() {
    if (this.shadowRoot) return;
    this.server = (this.getAttribute("server") || HERE.origin).replace(/\/$/, "");
    if (this.server === location.origin) this.server = "";
    this.store = `deskhand:${this.server || location.origin}`;
    this.language = memory.get(`${this.store}:lang`) || langOf(this.getAttribute("lang") || navigator.language);
    this.conversation = memory.get(this.store);
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [STYLE];
    if (memory.get(`${this.store}:large`)) this.setAttribute("large", "");
    this.reset();
    this.build();
    this.resume();
  }

  disconnectedCallback() {
    this.events?.close();
    clearTimeout(this.retryTimer);
    clearTimeout(this.slowTimer);
  }

  reset() {
    this.state = "bot";
    this.ticket = null;
    this.agent = null;
    this.last = 0;
    this.pending = [];
    this.queue = Promise.resolve();
    this.history = [];
    this.tries = 0;
  }

  get words() {
    return WORDS[this.language];
  }

  // What stands on the screen.

  build() {
    const t = this.words;
    const draft = this.input?.value || "";
    this.log = h("div", { class: "log", role: "log", "aria-live": "polite", "aria-label": t.log, tabindex: "0" });
    this.status = h("p", { class: "status", role: "status" });
    this.hint = h("p", { class: "hint", hidden: true }, h("span", { class: "dots", "aria-hidden": "true" }), h("span"));
    this.input = h("textarea", {
      rows: "1", placeholder: t.placeholder, "aria-label": t.placeholder, maxlength: "4000", enterkeyhint: "send",
      onkeydown: (event) => {
        // Enter that ends a Chinese composition is not "send".
        if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
        event.preventDefault();
        this.submit();
      },
      oninput: () => this.grow(),
    });
    this.input.value = draft;
    this.person = h("button", { type: "button", class: "person", onclick: () => this.send(this.words.person, "person") }, t.person);
    const small = (label, act, more = {}) => h("button", { type: "button", class: "small", onclick: act, ...more }, label);
    this.shadowRoot.replaceChildren(
      h("section", { class: "chat", lang: this.language === "zh" ? "zh-Hans" : "en", "aria-label": t.title },
        h("header", {},
          h("strong", {}, t.title),
          small("A+", () => this.enlarge(), { "aria-label": t.larger, title: t.larger, "aria-pressed": String(this.hasAttribute("large")) }),
          small(t.switch, () => this.speak(this.language === "zh" ? "en" : "zh"), { lang: this.language === "zh" ? "en" : "zh-Hans" }),
          small(t.again, () => this.again())),
        h("p", { class: "safety" }, t.safety),
        this.status, this.log, this.hint,
        h("form", { onsubmit: (event) => { event.preventDefault(); this.submit(); } },
          this.input, h("button", { type: "submit", class: "send" }, t.send)),
        this.person));
    this.log.append(this.bubble("bot", h("p", {}, t.hello)));
    for (const entry of this.history) this.draw(entry);
    this.showStatus();
  }

  speak(lang) {
    this.language = lang;
    memory.set(`${this.store}:lang`, lang);
    this.build();
    this.input.focus();
  }

  enlarge() {
    const large = this.toggleAttribute("large");
    memory.set(`${this.store}:large`, large ? "1" : null);
    this.shadowRoot.querySelector("[aria-pressed]").setAttribute("aria-pressed", String(large));
  }

  grow() {
    this.input.rows = Math.min(6, this.input.value.split("\n").length + Math.floor(this.input.value.length / 60));
  }

  showStatus() {
    const t = this.words;
    const parts = [];
    if (this.offline) parts.push(t.offline);
    if (this.ticket) parts.push(`${t.caseNumber} ${this.ticket}`);
    if (this.state === "person") parts.push(this.agent ? `${this.agent} ${t.joined}` : t.waiting);
    this.status.textContent = parts.join(" · ");
    this.person.disabled = this.state === "person";
    this.person.textContent = this.state === "person" ? t.personHere : t.person;
  }

  showHint(on) {
    clearTimeout(this.slowTimer);
    this.hint.hidden = !on;
    this.hint.lastChild.textContent = this.words.typing;
    if (on) {
      this.slowTimer = setTimeout(() => { this.hint.lastChild.textContent = this.words.slow; }, SLOW_MS);
      this.toEnd();
    }
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  bubble(from, ...content) {
    const name = { customer: this.words.you, bot: this.words.bot, agent: this.words.agent }[from];
    return h("article", { class: `bubble ${from}` }, name && h("span", { class: "who" }, name), ...content);
  }

  /** Remembers an entry, so that it can be drawn again in the other language, and draws it. */
  add(entry) {
    this.history.push(entry);
    this.draw(entry);
  }

  draw(entry) {
    // Only follow the conversation when the reader is at its end.
    const near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 160;
    const node = this.node(entry);
    entry.node = node;
    this.log.append(node);
    if (near || entry.from === "customer") this.toEnd();
  }

  node(entry) {
    const t = this.words;
    if (entry.from === "system") {
      const text = { joined: `${entry.agent || t.agent} ${t.joined}`, closed: t.closed, handed_back: t.handedBack }[entry.text];
      return h("p", { class: "system" }, text || entry.text);
    }
    if (entry.from === "bot" && entry.reply) return this.replyNode(entry.reply);
    const node = this.bubble(entry.from, h("p", { class: "plain" }, entry.text));
    if (entry.from === "agent" && entry.agent) node.firstChild.textContent = `${t.agent} · ${entry.agent}`;
    if (entry.at) node.append(h("time", {}, clock(entry.at, this.language)));
    if (entry.sending) node.classList.add("sending");
    if (entry.hidden) node.append(h("p", { class: "note" }, t.hidden));
    if (entry.failed) {
      const retry = h("button", { type: "button", class: "small", onclick: () => this.post(entry) }, t.retry);
      node.append(h("p", { class: "note", role: "alert" }, `${t.failed} ${entry.failed} `, retry));
    }
    return node;
  }

  redraw(entry) {
    const node = this.node(entry);
    entry.node.replaceWith(node);
    entry.node = node;
  }

  replyNode(reply) {
    const t = this.words;
    const lang = reply.lang === "zh" ? "zh-Hans" : "en";
    const node = this.bubble("bot", h("div", { class: "text", lang }, markdown(reply.text, this.server)));
    if (reply.outcome === "handoff") {
      node.classList.add("handoff");
      if (reply.ticket) node.append(h("p", { class: "ticket" }, `${t.caseNumber} ${reply.ticket}`));
    }
    if (reply.citations?.length) {
      node.append(h("details", {},
        h("summary", {}, `${t.sources} (${reply.citations.length})`),
        reply.citations.map((citation) => this.citation(citation, reply.lang))));
    }
    if (reply.outcome === "offer" && reply.offers?.length) {
      const chip = (label, choice) => h("button", {
        type: "button", class: "chip",
        onclick: () => {
          for (const button of chips.querySelectorAll("button")) button.disabled = true;
          this.send(label, choice);
        },
      }, label);
      const chips = h("div", { class: "chips", role: "group" },
        reply.offers.map((offer) => chip(offer.title, { document: offer.document })),
        chip(t.none, "none"), chip(t.person, "person"));
      node.append(chips);
    }
    return node;
  }

  citation(citation, replyLang) {
    const t = this.words;
    const day = revisionDay(citation.revision);
    const about = [day && `${t.revised} ${day}`, citation.lang !== replyLang && t.otherLang[citation.lang]].filter(Boolean);
    return h("div", { class: "source" },
      h("strong", {}, citation.title), about.length > 0 && h("span", { class: "note" }, ` ${about.join(" · ")}`),
      h("blockquote", {}, citation.quote),
      h("a", { href: documentUrl(this.server, citation), target: "_blank", rel: "noopener" }, t.open));
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

  send(text, choice) {
    if (choice === "person" && this.state === "person") return;
    const entry = { from: "customer", text, choice, key: randomKey(), sending: true, at: Date.now() };
    this.add(entry);
    if (this.state !== "person") this.showHint(true);
    this.post(entry);
  }

  /** Sends in order: one after the other, each until it is stored or refused. */
  post(entry) {
    entry.failed = null;
    entry.sending = true;
    if (!this.pending.includes(entry)) this.pending.push(entry);
    this.redraw(entry);
    this.queue = this.queue.then(() => this.postNow(entry));
  }

  async postNow(entry) {
    for (let tries = 0; ; tries += 1) {
      try {
        if (!this.conversation) await this.start();
        const body = JSON.stringify({ text: entry.text, choice: entry.choice });
        const path = `/v1/conversations/${this.conversation}/messages`;
        const response = await this.fetch(path, { method: "POST", body, headers: { "idempotency-key": entry.key } });
        if (response.ok) {
          entry.sending = false;
          this.redraw(entry);
          return;
        }
        const wait = Number(response.headers.get("retry-after")) || 2;
        const retriable = [408, 429, 500, 502, 503, 504].includes(response.status);
        if (retriable && tries < 4) {
          await new Promise((done) => setTimeout(done, wait * 1000));
          continue;
        }
        const problem = await response.json().catch(() => null);
        return this.refused(entry, problem?.error?.text || `HTTP ${response.status}`);
      } catch {
        if (tries >= 4) return this.refused(entry, "");
        await new Promise((done) => setTimeout(done, 1000 * 2 ** tries));
      }
    }
  }

  refused(entry, why) {
    this.pending = this.pending.filter((other) => other !== entry);
    entry.sending = false;
    entry.failed = why || " ";
    this.redraw(entry);
    this.showHint(false);
  }

  async start() {
    const response = await this.fetch("/v1/conversations", { method: "POST", body: JSON.stringify({ lang: this.language, channel: "web" }) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    this.conversation = (await response.json()).id;
    memory.set(this.store, this.conversation);
    this.listen();
  }

  again() {
    if (this.history.length && !confirm(this.words.againAsk)) return;
    this.events?.close();
    this.conversation = null;
    memory.set(this.store, null);
    this.reset();
    this.build();
    this.input.focus();
  }

  fetch(path, options = {}) {
    const headers = { "content-type": "application/json", ...options.headers };
    return fetch(this.server + path, { ...options, headers, credentials: "same-origin" });
  }

  // What comes back.

  async resume() {
    if (!this.conversation) return;
    const conversation = this.conversation;
    try {
      const response = await this.fetch(`/v1/conversations/${conversation}/messages`);
      if (response.status === 404) {
        // The server has forgotten it: begin anew rather than speak into the void.
        this.conversation = null;
        memory.set(this.store, null);
        return;
      }
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const found = await response.json();
      if (this.conversation !== conversation) return;
      this.state = found.state;
      this.ticket = found.ticket;
      this.last = found.last_event;
      for (const message of found.messages) {
        this.add({ from: message.from, text: message.text, reply: message.reply, agent: message.agent, at: message.created_ms });
        if (message.from === "agent") this.agent = message.agent;
        if (message.from === "system") this.agent = null;
      }
      const newest = found.messages.at(-1);
      if (newest?.from === "customer" && this.state === "bot") this.showHint(true);
      this.toEnd();
      this.setOffline(false);
      this.listen();
    } catch {
      this.setOffline(true);
      this.later(() => this.resume());
    }
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
    if (kind === "step" || kind === "sentence") {
      if (this.state !== "person") this.showHint(true);
      return;
    }
    this.showHint(false);
    if (kind === "error") {
      this.add({ from: "system", text: this.words.failedTurn });
      return;
    }
    if (kind === "handoff") {
      this.state = "person";
      this.agent = null;
      this.ticket = data.ticket || this.ticket;
    }
    this.add({ from: "bot", reply: data });
    this.showStatus();
  }

  said(message) {
    if (message.from === "customer") {
      const same = this.pending.find((entry) => entry.text.trim() === message.text);
      const own = same || this.pending[0];
      if (!own) return this.add({ from: "customer", text: message.text, at: Date.now() });
      // Ours, come back as it was stored: without secrets.
      this.pending = this.pending.filter((entry) => entry !== own);
      own.hidden = !same;
      own.text = message.text;
      own.sending = false;
      return this.redraw(own);
    }
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
}

customElements.define("deskhand-chat", DeskhandChat);
