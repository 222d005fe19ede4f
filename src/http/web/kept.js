// What this browser keeps of a customer besides the conversation on the screen.

import { h, memory, tabMemory } from "./dom.js";

/** So many conversations stay in reach. */
const LIMIT_LEFT = 4;
/** What is read here becomes a part of an address. */
const CONVERSATION = /^[0-9a-f-]{36}$/i;

/**
 * The conversations that the customer has left while a person had their case, the newest first: `{id, ticket, agents, sign}`.
 * `agents` is how many replies of agents the customer has seen there; `sign` is what happened since: "reply", "closed" or nothing.
 */
export class Left {
  constructor(key) {
    this.key = key;
  }

  /** Read anew each time: another tab may have changed it. */
  get list() {
    try {
      return JSON.parse(memory.get(this.key)).filter((one) => CONVERSATION.test(one?.id));
    } catch {
      return [];
    }
  }

  set list(list) {
    memory.set(this.key, list.length > 0 ? JSON.stringify(list.slice(0, LIMIT_LEFT)) : null);
  }

  put(one) {
    this.list = [one, ...this.list.filter(({ id }) => id !== one.id)];
  }

  drop(id) {
    this.list = this.list.filter((one) => one.id !== id);
  }

  /** Looks what has happened there. `read(id)` fetches a conversation: null where the server has forgotten it. */
  async look(read) {
    for (const { id, ticket, agents } of this.list.filter((one) => one.ticket)) {
      // Not reached now: the next look will tell.
      const found = await read(id).catch(() => undefined);
      if (found === null) this.drop(id);
      if (!found) continue;
      const heard = found.messages.filter((message) => message.from === "agent").length;
      const sign = heard > agents ? "reply" : found.ticket !== ticket ? "closed" : null;
      this.list = this.list.map((one) => (one.id === id ? { ...one, sign } : one));
    }
  }
}

/** A way back to each, with a sign where there is something new. Drawn anew only when it changes: nothing is read out twice. */
export function drawBacks(nav, list, t, back) {
  const state = JSON.stringify(list);
  if (nav.dataset.state === state) return;
  const focused = nav.getRootNode().activeElement?.dataset.id;
  nav.dataset.state = state;
  nav.hidden = list.length === 0;
  nav.replaceChildren(...list.map(({ id, ticket, sign }) => h("button", { type: "button", class: "small", "data-id": id, onclick: () => back(id) },
    `‹ ${ticket ? `${t.backTo} ${ticket}` : t.backToChat}`, sign && h("span", { class: `sign ${sign}` }, t.sign[sign]))));
  if (focused) nav.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

/**
 * Asks before a new chat begins, in the page: a frame of another origin's page may not open the browser's own dialogs. `ticket` is
 * the case that stays with a person.
 */
export function askAgain(t, ticket, begin) {
  const button = (label, name, act) => h("button", { type: "button", class: name, onclick: () => { dialog.close(); act?.(); } }, label);
  const dialog = h("dialog", { "aria-label": t.again, onclose: () => dialog.remove() },
    h("p", {}, ticket ? t.againCase.replaceAll("{ticket}", ticket) : t.againAsk),
    h("div", {}, button(t.stay, ""), button(t.again, "send", begin)));
  return dialog;
}

/**
 * What is typed into the short forms of a conversation and not sent yet, form by form in the order of the replies that brought
 * them: it outlives a reload. The box for messages is not kept: a secret that was never sent must not lie on a disk.
 */
export class Typed {
  constructor(key) {
    this.key = key;
    this.forms = {};
    try {
      Object.assign(this.forms, JSON.parse(tabMemory.get(key)));
    } catch { /* Not ours. */ }
  }

  /** The fields of one form, for reading and writing; `keep` after writing. */
  of(form) {
    return (this.forms[form] ||= {});
  }

  keep() {
    const filled = Object.entries(this.forms).filter(([, fields]) => Object.values(fields).some(Boolean));
    tabMemory.set(this.key, filled.length > 0 ? JSON.stringify(Object.fromEntries(filled)) : null);
  }

  /** These forms are settled. */
  drop(forms) {
    if (forms.length === 0) return;
    for (const form of forms) delete this.forms[form];
    this.keep();
  }
}
