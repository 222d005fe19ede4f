// The short form below a danger's card: the facts that are still missing. What is filled in is said as an ordinary message, a
// line for each, and the case reads it.

import { h } from "./dom.js";

/**
 * `typed` holds what stands in the fields, which are drawn anew when the language changes or the page is loaded again; `keep()` is
 * told of every change. `say(text)` sends. `form` is its number in the conversation.
 */
export function factsForm({ asks, lang }, { form, typed, keep }, t, say) {
  const send = (event) => {
    event.preventDefault();
    const given = asks.map(({ slot, label }) => [label, typed[slot]?.trim()]).filter(([, value]) => value);
    if (given.length === 0) return event.target.querySelector("input").focus();
    say(given.map((line) => line.join(lang === "zh" ? "：" : ": ")).join("\n"));
  };
  const field = ({ slot, label }) => h("label", { lang: lang === "zh" ? "zh-Hans" : "en" }, label, h("input", {
    name: slot, value: typed[slot], dir: "auto", maxlength: "300", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    oninput: (event) => { typed[slot] = event.target.value; keep(); },
    // Enter that ends a Chinese composition is not "send".
    onkeydown: (event) => { if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) event.preventDefault(); },
  }));
  return h("form", { class: "facts", "data-form": form, "aria-label": t.facts, onsubmit: send },
    h("p", { class: "note" }, t.factsNote), asks.map(field), h("button", { type: "submit", class: "send" }, t.sendFacts));
}

/**
 * Takes the forms in `log` away that `said` answers, or all of them; who was in one goes on in `input`. Returns the numbers of
 * those it took.
 */
export function closeForms(log, input, said = undefined) {
  const closed = [];
  const isAnswer = (line, form) => [...form.querySelectorAll("label")].some((label) => line.startsWith(label.textContent));
  for (const form of log.querySelectorAll("form")) {
    if (said !== undefined && !said.split("\n").some((line) => isAnswer(line, form))) continue;
    if (form.contains(log.getRootNode().activeElement)) input.focus();
    form.remove();
    closed.push(form.dataset.form);
  }
  return closed;
}
