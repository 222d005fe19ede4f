// A small, safe Markdown: headings, lists, tables, quotes, code, bold, links. It builds nodes and sets text; what it does not
// know stays text. Links lead to http(s) pages and to our own documents only; pictures are never loaded.

import { h } from "./dom.js";

/** Markdown as a fragment. `server` is put before links to our own documents. */
export function markdown(text, server = "") {
  const fragment = document.createDocumentFragment();
  const lines = String(text).replace(/\r\n?/g, "\n").split("\n");
  let at = 0;
  while (at < lines.length) at = block(lines, at, fragment, server);
  return fragment;
}

const BULLET = /^(\s*)([-*+•]|\d{1,3}[.)、])\s+(.*)$/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;

/** Puts the block that begins at line `at` into `parent`; returns the line after it. */
function block(lines, at, parent, server) {
  const line = lines[at];
  if (!line.trim()) return at + 1;
  if (/^\s*```/.test(line)) {
    let end = at + 1;
    while (end < lines.length && !/^\s*```/.test(lines[end])) end += 1;
    parent.append(h("pre", {}, h("code", {}, lines.slice(at + 1, end).join("\n"))));
    return end + 1;
  }
  const heading = HEADING.exec(line);
  if (heading) {
    // A reply is no page: its headings start below those of the page it stands in.
    parent.append(h(`h${Math.min(heading[1].length + 2, 6)}`, {}, inline(heading[2], server)));
    return at + 1;
  }
  if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) {
    parent.append(h("hr"));
    return at + 1;
  }
  if (/^\s*>/.test(line)) {
    let end = at;
    while (end < lines.length && /^\s*>/.test(lines[end])) end += 1;
    const quoted = lines.slice(at, end).map((quote) => quote.replace(/^\s*>\s?/, "")).join("\n");
    parent.append(h("blockquote", {}, markdown(quoted, server)));
    return end;
  }
  if (BULLET.test(line)) return list(lines, at, parent, server);
  if (/^\s*\|.*\|\s*$/.test(line)) return table(lines, at, parent, server);
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !starts(lines[end])) end += 1;
  const paragraph = h("p");
  lines.slice(at, end).forEach((text, index) => {
    if (index > 0) paragraph.append(h("br"));
    paragraph.append(...inline(text.trim(), server));
  });
  parent.append(paragraph);
  return end;
}

function starts(line) {
  return BULLET.test(line) || HEADING.test(line) || /^\s*(```|>|\|.*\|\s*$)/.test(line);
}

function list(lines, at, parent, server) {
  const [, indent, mark] = BULLET.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const node = h(ordered ? "ol" : "ul", ordered ? { start: parseInt(mark, 10) } : {});
  parent.append(node);
  while (at < lines.length) {
    const item = BULLET.exec(lines[at]);
    if (item && item[1].length < indent.length) break;
    if (item && item[1].length > indent.length && node.lastChild) {
      at = list(lines, at, node.lastChild, server);
    } else if (item && /\d/.test(item[2]) === ordered) {
      node.append(h("li", {}, inline(item[3], server)));
      at += 1;
    } else if (!item && lines[at].trim() && /^\s/.test(lines[at]) && node.lastChild) {
      node.lastChild.append(h("br"), ...inline(lines[at].trim(), server));
      at += 1;
    } else if (!lines[at].trim() && BULLET.test(lines[at + 1] || "")) {
      at += 1;
    } else break;
  }
  return at;
}

function table(lines, at, parent, server) {
  const body = h("tbody");
  let end = at;
  for (; end < lines.length && /^\s*\|.*\|\s*$/.test(lines[end]); end += 1) {
    if (/^[\s|:-]+$/.test(lines[end])) continue;
    const cells = lines[end].trim().slice(1, -1).split("|");
    body.append(h("tr", {}, cells.map((cell) => h(end === at ? "th" : "td", {}, inline(cell.trim(), server)))));
  }
  parent.append(h("table", {}, body));
  return end;
}

const INLINE = /\*\*([^*]+)\*\*|__([^_]+)__|`([^`]+)`|!?\[([^\]]*)\]\(([^()\s]+)\)|<(https?:\/\/[^<>\s]+)>/;

/** Longer lines stay plain text: the pattern's time grows with the square of their length. */
const LIMIT_LINE = 4000;

function inline(text, server) {
  if (text.length > LIMIT_LINE) return [text];
  const nodes = [];
  let rest = text;
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    if (found.index > 0) nodes.push(rest.slice(0, found.index));
    const [whole, stars, underscores, code, label, url, bare] = found;
    if (code !== undefined) nodes.push(h("code", {}, code));
    else if (url !== undefined || bare !== undefined) nodes.push(link(label || url || bare, url || bare, whole, server));
    else nodes.push(h("strong", {}, inline(stars ?? underscores, server)));
    rest = rest.slice(found.index + whole.length);
  }
  if (rest) nodes.push(rest);
  return nodes;
}

function link(label, url, whole, server) {
  const href = safeUrl(url, server);
  if (!href || whole.startsWith("!")) return label;
  return h("a", { href, target: "_blank", rel: "noopener noreferrer" }, label);
}

/** The address if it may be linked to, else null. */
export function safeUrl(url, server = "") {
  if (/^\/v1\/documents\/[^/\\]+$/.test(url)) return server + url;
  if (!/^https?:\/\//i.test(url)) return null;
  try {
    const parsed = new URL(url);
    // A name before an @ is how a false address looks like a true one.
    return parsed.username || parsed.password ? null : parsed.href;
  } catch {
    return null;
  }
}
