// The two pages in a real browser, without packages: a first visit, a question, a reload, a person, the desk, a reply, a new chat
// beside an open case and the way back, a seed phrase in two parts that vanishes from both pages, contact data, a danger's card
// with its short form filled in by keyboard.
//
//   deskhand demo --port 8080 &
//   CHROMIUM=chromium node tests/browser/pages.mjs http://127.0.0.1:8080 <the desk's token>
//
// Speaks the browser's own protocol (https://chromedevtools.github.io/devtools-protocol/) over its pipe. Exits with 1 and the
// name of the step that failed. It leaves closed tickets behind: run it on a server for tests.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [server, token] = process.argv.slice(2);
assert.ok(server && token, "usage: node pages.mjs <server> <token>");
/** How long a step may take. */
const LIMIT_MS = 30000;

const profile = mkdtempSync(join(tmpdir(), "pages-"));
const chromium = spawn(process.env.CHROMIUM || "chromium",
  ["--headless=new", "--no-sandbox", "--lang=en-US", "--remote-debugging-pipe", `--user-data-dir=${profile}`],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const [, , , orders, news] = chromium.stdio;

const waiting = new Map();
const problems = [];
let number = 0;
let rest = "";
news.setEncoding("utf8").on("data", (text) => {
  const messages = (rest + text).split("\0");
  rest = messages.pop();
  messages.map((message) => JSON.parse(message)).forEach(heard);
});

function heard({ id, error, result, method, params }) {
  if (id) {
    const { done, failed } = waiting.get(id);
    waiting.delete(id);
    error ? failed(new Error(error.message)) : done(result);
  }
  if (method === "Runtime.exceptionThrown") problems.push(params.exceptionDetails.exception?.description || params.exceptionDetails.text);
  if (method === "Log.entryAdded" && params.entry.level === "error") problems.push(`${params.entry.text} ${params.entry.url || ""}`);
}

function order(method, params = {}, sessionId = undefined) {
  number += 1;
  orders.write(`${JSON.stringify({ id: number, method, params, sessionId })}\0`);
  return new Promise((done, failed) => waiting.set(number, { done, failed }));
}

/** The browser's helper processes outlive it for a moment and still write: a profile that will not go fails nobody's test. */
function remove(folder) {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  } catch (error) {
    console.error(`left behind: ${folder} (${error.code})`);
  }
}

/** A tab at an address: `run` evaluates, `until` waits for something true and returns it. */
async function tab(path) {
  const { targetId } = await order("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await order("Target.attachToTarget", { targetId, flatten: true });
  for (const domain of ["Runtime", "Log", "Page"]) await order(`${domain}.enable`, {}, sessionId);
  // Every tab believes that it is in front, so that it takes keys.
  await order("Emulation.setFocusEmulationEnabled", { enabled: true }, sessionId);
  const go = () => order("Page.navigate", { url: server + path }, sessionId);
  const run = async (expression) => {
    const { result, exceptionDetails } = await order("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, sessionId);
    assert.ok(!exceptionDetails, exceptionDetails?.exception?.description);
    return result.value;
  };
  const until = async (step, expression) => {
    for (const end = Date.now() + LIMIT_MS; Date.now() < end;) {
      const found = await run(`(() => { try { return ${expression}; } catch { return null; } })()`);
      if (found) return console.log(`ok  ${step}`), found;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`${step}: waited ${LIMIT_MS} ms for ${expression}`);
  };
  const type = (text) => order("Input.insertText", { text }, sessionId);
  const key = async (name, code, text = undefined) => {
    const press = { key: name, code: name, windowsVirtualKeyCode: code, text };
    for (const type of ["keyDown", "keyUp"]) await order("Input.dispatchKeyEvent", { type, ...press }, sessionId);
  };
  const resize = (width, height) => order("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false }, sessionId);
  await go();
  return { run, until, go, type, key, resize };
}

const CHAT = 'document.querySelector("deskhand-chat").shadowRoot';
const press = (element) => `${element}.click()`;
const write = (element, text) => `${element}.value = ${JSON.stringify(text)}`;
const all = (root, selector) => `[...${root}.querySelectorAll(${JSON.stringify(selector)})]`;

/** What scrolls is inside: the page itself has nothing below its end. */
const FITS = "document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth";

async function visit() {
  const chat = await tab("/");
  await chat.until("the chat greets", `${CHAT}.querySelector(".bubble.bot")`);
  await chat.resize(1280, 800);
  await chat.until("the chat fits a laptop's window", FITS);
  await chat.resize(390, 844);
  await chat.until("and a phone's", FITS);
  await sources(chat);
  await chat.run(write(`${CHAT}.querySelector("textarea")`, "<b>How</b> do I withdraw?"));
  await chat.run(press(`${CHAT}.querySelector(".send")`));
  await chat.until("a first visit's question is stored", 'localStorage.getItem(`deskhand:${location.origin}`)?.length > 30');
  await chat.until("a reply arrives", `${all(CHAT, ".bubble.bot")}.length > 1`);
  await chat.until("on a phone most of the window is the conversation", `${CHAT}.querySelector(".log").clientHeight > 0.75 * innerHeight`);
  await chat.go();
  await chat.until("a reload shows the conversation again", `${CHAT}.querySelector(".bubble.customer")?.textContent.includes("<b>How</b>")`);
  if (await chat.run(`!${CHAT}.querySelector(".person").hidden`)) await chat.run(`for (const tap of [1, 2]) ${press(`${CHAT}.querySelector(".person")`)}`);
  const ticket = await chat.until("a person takes over", `/T-\\d+/.exec(${CHAT}.querySelector(".status").textContent)?.[0]`);
  assert.ok(await chat.run(`${all(CHAT, ".bubble.customer")}.filter((said) => said.textContent.includes("Talk to a person")).length < 2`), "a double tap was said twice");

  const desk = await tab("/desk");
  await desk.until("the desk asks who", 'document.querySelector("[name=token]")');
  for (const typed of ["wrong", token]) {
    await desk.run(`${write('document.querySelector("[name=name]")', "Ana <i>")}; ${write('document.querySelector("[name=token]")', typed)}`);
    await desk.run(press('document.querySelector("button.main")'));
    if (typed === "wrong") await desk.until("a wrong token is refused", 'document.querySelector("[role=alert]").textContent');
  }
  // The one refusal that was asked for.
  assert.match(problems.pop() ?? "", /401/);
  await desk.until("the queue has the ticket", `document.querySelector('[data-number="${ticket}"]')`);
  // A hidden line below a queue longer than the window once made the page as long as the queue.
  await desk.resize(1280, 200);
  await desk.until("a long queue scrolls, not the page", `document.querySelector("aside").scrollHeight > 200 && ${FITS}`);
  await desk.resize(1280, 800);
  await desk.run(press(`document.querySelector('[data-number="${ticket}"]')`));
  await desk.until("the case opens", 'document.querySelector(".case .ask")');
  await desk.run(write('document.querySelector(".answer textarea")', "Hello <img src=x onerror=alert(1)>"));
  await desk.run(press('document.querySelector(".answer .main")'));
  await chat.until("the reply arrives in the chat, as text", `${CHAT}.querySelector(".bubble.agent")?.textContent.includes("<img src=x")`);
  assert.equal(await chat.run(`${all(CHAT, "img, i, b")}.length`), 0, "what was said became markup");
  await left(chat, desk, ticket);
  const say = async (text) => {
    // The last ones: a danger's form stands above them and has its own.
    await chat.run(write(`[...${CHAT}.querySelectorAll("textarea")].at(-1)`, text));
    await chat.run(press(`[...${CHAT}.querySelectorAll(".send")].at(-1)`));
  };
  await say("ok the first part is action guess gift wisdom poem buzz");
  await desk.until("the desk reads a first part", 'document.querySelector(".transcript").textContent.includes("wisdom")');
  await say("and the rest: local cash decline chuckle chase cement");
  await chat.until("the first part vanishes from the open chat", `${all(CHAT, ".bubble.customer")}.some((said) => said.textContent.includes("the first part is [seed phrase 1]")) && !${CHAT}.querySelector(".log").textContent.includes("wisdom")`);
  await desk.until("and from the open desk", '!document.body.textContent.includes("wisdom") && document.querySelector(".transcript").textContent.includes("[seed phrase 1]")');
  assert.equal(await chat.run(`${all(CHAT, ".bubble.agent")}.length`), 2, "what was said before is there once");
  assert.equal(await chat.run(`${all(CHAT, ".bubble.customer")}.filter((said) => said.textContent.includes("and the rest")).length`), 1);
  await say("call me: 13812345678");
  await chat.until("a phone number is masked", `${CHAT}.querySelector(".log").textContent.includes("[phone 1]")`);
  // Contact data is no leak: its note once told the customer to treat it as one.
  const note = `${all(CHAT, ".bubble.customer")}.at(-1).querySelector(".note").textContent`;
  await chat.until("calmly", `${note}.includes("privacy") && !${note}.includes("leaked")`);
  const turn = press(`${CHAT}.querySelector(".switch")`);
  await chat.run(turn);
  await chat.until("in the page's language", `${CHAT}.querySelector(".log").textContent.includes("〔电话 1〕") && ${CHAT}.querySelector(".log").textContent.includes("〔助记词 1〕")`);
  await chat.run(turn);
  await desk.until("the agent sees the contact, or that it is not kept", '/13812345678|contact_key/.test(document.querySelector(".case.contact")?.textContent)');
  await desk.run("window.confirm = () => true");
  const close = () => desk.run(press(`${all("document", ".ticket header button")}.at(-1)`));
  await close();
  await chat.until("the customer reads that it is closed", `!/T-/.test(${CHAT}.querySelector(".status").textContent)`);
  await danger(chat, desk, say);
  await close();
  await chat.until("the customer reads that this is closed too", `!/T-/.test(${CHAT}.querySelector(".status").textContent)`);
  assert.deepEqual(problems, [], "the browser's console has errors");
}

/** What the panel of sources makes of a document's words, whichever documents the server has. */
async function sources(chat) {
  const quote = "## Where to look\nIn **Me > Fees** <img src=x onerror=alert(1)>\n\n- [here](javascript:boom)\n- `0x1`";
  const reply = { outcome: "answer", mode: "verbatim", lang: "en", text: "Look.", citations: [{ document: "fees", revision: "1a2b3c4d-2026-01-02", title: "Fees", lang: "en", quote, whole: true }] };
  const drawn = await chat.run(`(async () => {
    const [{ entryNode }, { WORDS }] = await Promise.all([import("/web/entry.js"), import("/web/words.js")]);
    const panel = entryNode({ from: "bot", reply: ${JSON.stringify(reply)} }, { t: WORDS.en, language: "en", server: "" }).querySelector(".source blockquote");
    return [panel.textContent, [...panel.querySelectorAll("*")].map((node) => node.localName).join()];
  })()`);
  assert.deepEqual(drawn, ["Where to lookIn Me > Fees <img src=x onerror=alert(1)>here0x1", "h4,p,strong,ul,li,li,code"]);
  console.log("ok  a source reads like an answer, and is text");
}

/** A new chat leaves the case open: the page says so, keeps a way back, and shows there when an agent has replied. */
async function left(chat, desk, ticket) {
  const back = `${CHAT}.querySelector(".backs button")`;
  const again = async () => {
    await chat.run(press(`${CHAT}.querySelector("header button:last-child")`));
    await chat.until("the dialog says whose case is open", `${CHAT}.querySelector("dialog p").textContent.includes("${ticket}")`);
    await chat.run(press(`${CHAT}.querySelector("dialog .send")`));
  };
  await again();
  await chat.until("a new chat is empty, with a way back", `${all(CHAT, ".bubble")}.length === 1 && ${back}.textContent === "‹ Back to ${ticket}"`);
  await chat.go();
  await chat.until("a reload keeps it", back);
  await desk.run(write('document.querySelector(".answer textarea")', "Are you still there?"));
  await desk.run(press('document.querySelector(".answer .main")'));
  await chat.until("it shows a reply", `${back}.textContent.includes("New reply")`);
  await chat.run(press(back));
  await chat.until("the way back leads to the reply", `${all(CHAT, ".bubble.agent")}.at(-1).textContent.includes("still there")`);
  assert.ok(await chat.run(`${CHAT}.querySelector(".backs").hidden && /${ticket}/.test(${CHAT}.querySelector(".status").textContent)`));
}

const ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7";

/** A danger's card asks for what is missing; what is filled in becomes a message, and a part of the case. */
async function danger(chat, desk, say) {
  const form = `${CHAT}.querySelector(".facts")`;
  await say("I typed my seed phrase into a site: legal winner thank year wave sausage worth useful legal winner thank yellow");
  await chat.until("a danger's card brings a short form", `${form}.querySelectorAll("input").length === 2`);
  assert.ok(await chat.run(`${form}.getAttribute("aria-label") && ${all(form, "input")}.every((input) => input.labels[0].textContent)`), "a field without a name");
  await chat.go();
  await chat.until("a reload brings it again", form);
  const ticket = await chat.until("and the case's number", `/T-\\d+/.exec(${CHAT}.querySelector(".status").textContent)?.[0]`);
  await chat.run(`${form}.querySelector("input").focus()`);
  await chat.key("Enter", 13, "\r");
  await chat.type(ADDRESS);
  await chat.run(press(`${CHAT}.querySelector(".switch")`));
  await chat.run(press(`${CHAT}.querySelector(".switch")`));
  await chat.until("the other language keeps what was typed", `${form}.querySelector("input").value === ${JSON.stringify(ADDRESS)}`);
  await chat.go();
  await chat.until("a reload too", `${form}.querySelector("input").value === ${JSON.stringify(ADDRESS)}`);
  await chat.run(`${form}.querySelector("input").focus()`);
  await chat.key("Tab", 9);
  await chat.type("around 3 on my way home");
  await chat.key("Enter", 13, "\r");
  await chat.until("it is sent as a message", `${all(CHAT, ".bubble.customer .plain")}.at(-1).textContent.endsWith("${ADDRESS}\\nWhen it happened: around 3 on my way home")`);
  await chat.until("nothing of it stays in the browser", "!Object.keys(sessionStorage).some((key) => key.includes(':typed:'))");
  await chat.until("and the form has gone", `!${form} && ${CHAT}.activeElement === ${CHAT}.querySelector("textarea")`);
  await chat.go();
  await chat.until("for good", `${all(CHAT, ".bubble.customer")}.length > 2 && !${form}`);
  await desk.until("the queue has it at the top", `document.querySelector('.queue .urgent[data-number="${ticket}"]')`);
  await desk.run(press(`document.querySelector('[data-number="${ticket}"]')`));
  await desk.until("the case has the facts", `${all("document", ".case dl code")}.map((code) => code.textContent).join() === "${ADDRESS},around 3 on my way home"`);
  await desk.until("the desk names the default cards", 'document.querySelector(".cards").textContent.includes("card-theft")');
}

try {
  await visit();
} catch (error) {
  console.error(`FAILED ${error.message}`, problems);
  process.exitCode = 1;
} finally {
  chromium.once("exit", () => remove(profile));
  chromium.kill();
}
