// Markdown to DOM nodes. A model's output is untrusted: only nodes are created here, and no HTML is ever parsed.
// Images are not loaded, because a URL could leak what the model has read; they are shown as links.

const LONGEST = 20000; // characters of a paragraph that are searched for markup
const DEEPEST = 6; // nesting of markup and lists

export function element(tag, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

// --- Blocks ---------------------------------------------------------------------------------------------------

const FENCE = /^ {0,3}(`{3,}|~{3,}) *([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})(?= |$)/;
const RULE = /^ {0,3}(?:-(?: *-){2,}|\*(?: *\*){2,}|_(?: *_){2,})\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,11})([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE = /^ {0,3}\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?$/;

/** Split a text into blocks: `{source, make}`. A block whose source has not changed need not be rendered again. */
export function blocks(text, depth = 0) {
  const lines = text.replaceAll("\r", "").replaceAll("\t", "    ").split("\n");
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at++;
      continue;
    }
    const [next, make] = block(lines, at, depth);
    found.push({ source: lines.slice(at, next).join("\n"), make });
    at = next;
  }
  return found;
}

function until(lines, at, ends) {
  while (at < lines.length && !ends(lines[at], at)) at++;
  return at;
}

function block(lines, at, depth) {
  const line = lines[at];
  let match;
  if ((match = FENCE.exec(line))) {
    const [, mark, language] = match;
    const end = until(lines, at + 1, (other) => other.trim().startsWith(mark) && !other.trim().replaceAll(mark[0], ""));
    const code = lines.slice(at + 1, end).join("\n");
    return [Math.min(end + 1, lines.length), () => fenced(code, language)];
  }
  if ((match = HEADING.exec(line))) {
    const text = line.slice(match[0].length).trim().replace(/(^| )#+$/, "");
    // The page has its own headings above.
    const tag = `h${Math.min(6, match[1].length + 2)}`;
    return [at + 1, () => element(tag, {}, ...inline(text))];
  }
  if (RULE.test(line)) return [at + 1, () => element("hr")];
  if (QUOTE.test(line) && depth < DEEPEST) {
    const end = until(lines, at, (other) => !QUOTE.test(other));
    const inner = lines.slice(at, end).map((other) => other.replace(QUOTE, "")).join("\n");
    return [end, () => element("blockquote", {}, ...render(inner, depth + 1))];
  }
  if (ITEM.test(line) && depth < DEEPEST) return list(lines, at, depth);
  if (line.includes("|") && TABLE.test(lines[at + 1] ?? "")) {
    const end = until(lines, at + 2, (other) => !other.includes("|"));
    const rows = [line, ...lines.slice(at + 2, end)];
    return [end, () => table(rows)];
  }
  const end = until(lines, at + 1, (other) => starts(other, depth));
  const text = lines.slice(at, end).map((other) => other.trimStart()).join("\n");
  return [end, () => element("p", {}, ...inline(text))];
}

const starts = (line, depth) =>
  !line.trim() || [FENCE, HEADING, RULE].some((mark) => mark.test(line)) ||
  (depth < DEEPEST && [QUOTE, ITEM].some((mark) => mark.test(line)));

/** A button that copies the current text. */
export function copyButton(text) {
  const button = element("button", { type: "button", className: "small", text: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed"; // by the browser, such as over plain HTTP
    }
  });
  return button;
}

function fenced(code, language) {
  const head = element("figcaption", {}, element("span", { text: language }), copyButton(() => code));
  return element("figure", {}, head, element("pre", { tabIndex: 0 }, element("code", { text: code })));
}

/** A list: lines indented more deeply than its markers belong to its items. */
function list(lines, at, depth) {
  const [, indent, first] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first);
  const items = [];
  while (at < lines.length) {
    const match = ITEM.exec(lines[at]);
    if (match && match[1].length <= indent.length + 1) {
      if (match[1].length + 1 < indent.length || /\d/.test(match[2]) !== ordered) break;
      items.push([match[3]]);
    } else if (lines[at].trim()) {
      const inside = lines[at].length - lines[at].trimStart().length > indent.length;
      // A line that follows directly continues the item, however it is indented.
      if (!inside && (!lines[at - 1].trim() || starts(lines[at], depth))) break;
      items.at(-1).push(inside ? lines[at].replace(new RegExp(`^ {0,${indent.length + 2}}`), "") : lines[at]);
    } else {
      const after = lines[at + 1] ?? "";
      const goesOn = ITEM.exec(after)?.[1].length >= indent.length || after.startsWith(`${indent}  `);
      if (!goesOn) break;
      items.at(-1).push("");
    }
    at++;
  }
  const make = () => {
    const made = element(ordered ? "ol" : "ul");
    if (ordered) made.start = parseInt(first, 10);
    for (const item of items) {
      const parts = blocks(item.join("\n"), depth + 1);
      const loose = item.includes("");
      const nodes = parts.map(({ make: part }) => part());
      // A tight item has text without a paragraph.
      made.append(element("li", {}, ...nodes.flatMap((node) => (!loose && node.tagName === "P" ? [...node.childNodes] : [node]))));
    }
    return made;
  };
  return [at, make];
}

function table(rows) {
  const cells = (row) => row.trim().replace(/^\||\|$/g, "").split("|").map((cell) => inline(cell.trim()));
  const [head, ...body] = rows.map(cells);
  const line = (row, tag) => element("tr", {}, ...head.map((_, number) => element(tag, {}, ...(row[number] ?? []))));
  const made = element("table", {}, element("thead", {}, line(head, "th")), element("tbody", {}, ...body.map((row) => line(row, "td"))));
  return element("div", { className: "table", tabIndex: 0 }, made);
}

// --- Inline ---------------------------------------------------------------------------------------------------

const MARKS = { "***": ["strong", "em"], "**": ["strong"], __: ["strong"], "~~": ["del"], "*": ["em"], _: ["em"] };
const SPECIAL = /[\\`*_~[!<h\n]/g;
const ESCAPE = /\\([!-/:-@[-`{-~])/y;
const CODE = /`+/y;
const EMPHASIS = /\*{1,3}|__?|~~/y;
const LINK = /!?\[((?:[^[\]\\\n]|\\.){0,500})\]\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()<>]{0,500}\))?)>?(?:\s+(?:"[^"\n]{0,300}"|'[^'\n]{0,300}'))?\s*\)/y;
const BARE = /https?:\/\/[^\s<>"'`|)\]]{1,2000}(?<![.,:;!?*_])/y;
const ANGLES = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/y;
const WORD = /[\p{L}\p{N}]/u;

/** Return a text with its markup as nodes; each character is visited a bounded number of times. */
export function inline(text, depth = 0, linked = false) {
  if (text.length > LONGEST || depth > DEEPEST) return [text];
  const nodes = [];
  const absent = new Set(); // markup that is not closed after here
  let plain = "";
  let at = 0;
  const flush = () => {
    if (plain) nodes.push(plain);
    plain = "";
  };
  const take = (node, end) => {
    flush();
    nodes.push(node);
    at = end;
  };
  const match = (pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  const closing = (mark, from) => {
    if (absent.has(mark)) return -1;
    const found = text.indexOf(mark, from);
    if (found < 0) absent.add(mark);
    return found;
  };
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const next = SPECIAL.exec(text)?.index ?? text.length;
    plain += text.slice(at, next);
    at = next;
    if (at === text.length) break;
    let found;
    if ((found = match(ESCAPE))) {
      plain += found[1];
      at += 2;
    } else if (text[at] === "\n") {
      if (plain.endsWith("  ") || plain.endsWith("\\")) {
        plain = plain.slice(0, -1).trimEnd();
        take(element("br"), at + 1);
      } else plain += text[at++];
    } else if ((found = match(CODE))) {
      const end = closing(found[0], at + found[0].length);
      if (end < 0) {
        plain += found[0];
        at += found[0].length;
      } else {
        const code = text.slice(at + found[0].length, end).replaceAll("\n", " ");
        take(element("code", { text: code.replace(/^ (.*) $/, "$1") }), end + found[0].length);
      }
    } else if (!linked && (found = match(LINK))) {
      const content = found[1] ? inline(found[1], depth + 1, true) : [found[2]];
      take(link(found[2], content), at + found[0].length);
    } else if (!linked && (found = match(ANGLES) ?? match(BARE))) {
      const address = found[1] ?? found[0];
      take(link(address, [address]), at + found[0].length);
    } else if ((found = match(EMPHASIS)) && MARKS[found[0]]) {
      const mark = found[0];
      const from = at + mark.length;
      const opens = /\S/.test(text[from] ?? " ") && !(mark[0] === "_" && WORD.test(text[at - 1] ?? " "));
      const end = opens ? closing(mark, from + 1) : -1;
      if (end < 0 || !/\S/.test(text[end - 1]) || (mark[0] === "_" && WORD.test(text[end + mark.length] ?? " "))) {
        plain += mark;
        at = from;
      } else {
        const [outer, inner] = MARKS[mark];
        const within = inline(text.slice(from, end), depth + 1, linked);
        take(element(outer, {}, ...(inner ? [element(inner, {}, ...within)] : within)), end + mark.length);
      }
    } else {
      plain += text[at++];
    }
  }
  flush();
  return nodes;
}

/** A link to the web or to a mail address; anything else stays text. Its title shows the target. */
function link(address, content) {
  const safe = /^(https?:\/\/|mailto:)/i.test(address) && URL.canParse(address);
  if (!safe) return element("span", {}, ...content);
  return element("a", { href: address, title: address, target: "_blank", rel: "noopener noreferrer nofollow" }, ...content);
}

// --- Into the page --------------------------------------------------------------------------------------------

export const render = (text, depth = 0) => blocks(text, depth).map(({ make }) => make());

/** Show a text in an element; only blocks that have changed since the last time are rendered again. */
export function show(place, text) {
  const found = blocks(text);
  const shown = (place.shown ??= []);
  let same = 0;
  while (same < shown.length && same < found.length && shown[same] === found[same].source) same++;
  while (place.children.length > same) place.lastElementChild.remove();
  place.append(...found.slice(same).map(({ make }) => make()));
  place.shown = found.map(({ source }) => source);
}
