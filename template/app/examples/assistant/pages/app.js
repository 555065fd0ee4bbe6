// The assistant's page: no library, no build step. It detects whether callers sign in here.

import { call, events, get, onSignedOut, pause, Refused, send, signedIn, signIn, signOut } from "./client.js";
import { element } from "./markdown.js";
import { MessageView } from "./view.js";

const $ = (id) => document.getElementById(id);
const root = "assistant/conversations";
const SUGGESTIONS = ["Search my notes for harbour", "Count to 30", "What can you do?"];
const current = { id: null, detail: null, views: new Map(), stream: null, answer: null, parent: undefined };
const list = { items: [], next: null };

function say(text, bad = false) {
  if ($("status").textContent !== text) $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function explain(error) {
  if (error.name === "AbortError" || error.status === 401) return;
  const again = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  say(error instanceof Refused ? `${error.message}${again}` : "The server does not answer.", true);
}

const guarded = (action) => async (...given) => {
  try {
    await action(...given);
  } catch (error) {
    explain(error);
  }
};

// --- Who is calling -------------------------------------------------------------------------------------------

onSignedOut(() => {
  current.stream?.abort();
  $("app").hidden = $("sign-out").hidden = $("menu").hidden = true;
  $("sign-in").hidden = false;
  say("Sign in to ask");
  $("sign-in-form").elements.username.focus();
});

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("sign-in-error").textContent = "";
  try {
    await signIn(event.target);
    event.target.reset();
    await start();
  } catch (error) {
    $("sign-in-error").textContent = error.message;
    event.target.elements.password.select();
  }
});

$("sign-out").addEventListener("click", async () => {
  await signOut();
  location.reload();
});

// --- Conversations --------------------------------------------------------------------------------------------

async function loadList(more = false) {
  const { items, next } = await get(more ? `${root}?limit=30&cursor=${encodeURIComponent(list.next)}` : `${root}?limit=30`);
  list.items = more ? [...list.items, ...items] : items;
  list.next = next;
  showList();
}

function showList() {
  $("list").replaceChildren(
    ...list.items.map(({ id, title }) => {
      const button = element("button", { type: "button", text: title ?? "Untitled" });
      button.addEventListener("click", guarded(() => open(id, true)));
      if (id === current.id) button.setAttribute("aria-current", "true");
      return element("li", {}, button);
    }),
  );
  $("more").hidden = !list.next;
}

function showHead() {
  const { detail } = current;
  $("title").textContent = detail ? (detail.title ?? "Untitled") : "New conversation";
  document.title = `${$("title").textContent} · Assistant`;
  $("rename").hidden = $("delete").hidden = !detail;
  $("welcome").hidden = Boolean(detail?.messages.length);
  $("earlier").hidden = !detail?.earlier;
}

function leave() {
  current.stream?.abort();
  Object.assign(current, { id: null, detail: null, views: new Map(), stream: null, answer: null });
  edit(null);
  $("messages").replaceChildren();
  busy(false);
}

function openNew() {
  leave();
  history.replaceState(null, "", location.pathname);
  showHead();
  showList();
  openMenu(false);
  $("question").focus();
}

async function open(id, focus = false) {
  const detail = await get(`${root}/${id}`);
  leave();
  current.id = id;
  history.replaceState(null, "", `#${id}`);
  openMenu(false);
  showDetail(detail);
  showList();
  say("Ready");
  $("scroll").scrollTop = $("scroll").scrollHeight;
  // On a touch screen, the keyboard would cover the answer.
  if (focus && matchMedia("(pointer: fine)").matches) $("question").focus();
  const last = detail.messages.at(-1);
  if (last?.state === "streaming") follow(last.id);
}

/** Show a conversation as stored; views of messages that remain are kept. */
function showDetail(detail) {
  current.detail = detail;
  const views = detail.messages.map((message) => {
    const view = current.views.get(message.id);
    view?.update(message);
    return view ?? new MessageView(message, actions);
  });
  current.views = new Map(views.map((view) => [view.message.id, view]));
  $("messages").replaceChildren(...views.map(({ node }) => node));
  showHead();
}

async function reload() {
  const { id } = current;
  const detail = await get(`${root}/${id}`);
  if (current.id === id) showDetail(detail);
}

$("earlier").addEventListener("click", guarded(async () => {
  const { id, detail } = current;
  const before = await get(`${root}/${id}?before=${detail.earlier}`);
  if (current.id !== id) return;
  const height = $("scroll").scrollHeight;
  showDetail({ ...detail, messages: [...before.messages, ...detail.messages], earlier: before.earlier });
  $("scroll").scrollTop += $("scroll").scrollHeight - height;
}));

/** The model generates a title after the first answer, in the background. */
async function awaitTitle(id) {
  for (let attempt = 0; attempt < 5; attempt++) {
    await pause(attempt);
    await loadList();
    const found = list.items.find((item) => item.id === id);
    if (!found || found.title) {
      if (found && current.id === id) Object.assign(current.detail, { title: found.title });
      if (current.id === id) showHead();
      return;
    }
  }
}

// --- Questions and answers ------------------------------------------------------------------------------------

const actions = {
  edit: (message) => edit(message),
  regenerate: guarded(async (message) => {
    if (current.answer) return say("An answer is in progress.", true);
    await begin(() => send("POST", `${path()}/${message.parent_id}/regenerate`, {}, signal()));
  }),
  choose: guarded(async (id) => {
    await send("PATCH", `${root}/${current.id}`, { current_id: id });
    current.stream?.abort();
    await open(current.id);
  }),
  changed: () => atEnd && ($("scroll").scrollTop = $("scroll").scrollHeight),
};

const path = () => `${root}/${current.id}/messages`;
const signal = () => ({ signal: (current.stream = new AbortController()).signal });

function busy(answering) {
  $("send").hidden = answering;
  $("stop").hidden = !answering;
}

function edit(message) {
  // Undefined: the question follows the branch shown; null: it starts over.
  current.parent = message ? message.parent_id : undefined;
  $("editing").hidden = !message;
  $("question").value = message?.content ?? "";
  grow();
  if (message) $("question").focus();
}

async function ask() {
  const content = $("question").value;
  if (!content.trim() || current.answer) return;
  busy(true);
  try {
    if (!current.id) {
      const made = await (await send("POST", root, {})).json();
      current.id = made.id;
      current.detail = { ...made, messages: [], earlier: null };
      history.replaceState(null, "", `#${made.id}`);
    }
    const body = current.parent === undefined ? { content } : { content, parent_id: current.parent };
    await begin(() => send("POST", path(), body, signal()));
  } catch (error) {
    explain(error);
  } finally {
    if (!current.answer) busy(false);
  }
}

/** Start an answer, and follow it. */
async function begin(post) {
  const { id } = current;
  say("Asking…");
  let answer;
  try {
    answer = await post();
  } catch (error) {
    // The connection was lost, but the question may have arrived.
    if (!(error instanceof Refused) && error.name !== "AbortError") await recover(id).catch(() => explain(error));
    else throw error;
    return;
  }
  showAllowance(answer.headers.get("RateLimit"));
  await follow(null, answer);
}

async function recover(id) {
  await reload();
  const last = current.id === id ? current.detail.messages.at(-1) : null;
  if (last?.state === "streaming") await follow(last.id);
  else say("The question was not sent: ask again.", true);
}

/** Follow an answer until it has ended, however often the connection is lost. */
async function follow(id, answer = null) {
  const conversation = current.id;
  let seen = null;
  busy(true);
  if (id) current.answer = id;
  if (!answer) signal();
  const { stream } = current;
  for (let attempt = 0; ; attempt++) {
    try {
      answer ??= await call(`${path()}/${id}/events`, {
        headers: seen ? { "Last-Event-ID": seen } : {},
        signal: stream.signal,
      });
      for await (const event of events(answer)) {
        attempt = 0;
        if (event.id) seen = event.id;
        const data = JSON.parse(event.data);
        if (event.event === "started") id = started(data);
        else if (event.event === "message") finished(data);
        else if (event.event === "token" || event.event === "tool") {
          if (!current.views.get(id).fresh) restart(id);
          current.views.get(id).add(event.event, data);
          say("Answering…");
        }
        if (event.event === "message") return;
      }
    } catch (error) {
      if (stream.signal.aborted || current.id !== conversation) return;
      // It was deleted, or the caller is no longer signed in.
      if (error instanceof Refused && error.status < 500 && error.status !== 429) return over(), explain(error);
    }
    answer = null;
    if (!id) return over(), recover(conversation).catch(explain);
    say(navigator.onLine ? "Connection lost; trying again" : "You are offline", true);
    await pause(attempt);
    if (stream.signal.aborted || current.id !== conversation) return;
  }
}

/** Reset the view of an answer that is followed from its beginning. */
function restart(id) {
  const view = current.views.get(id);
  view.fresh = true;
  view.message.content = "";
  view.message.tools = [];
}

function started({ question, answer }) {
  const { detail } = current;
  const shown = detail.messages;
  // Messages next to the question or below it are now another branch.
  const known = shown.findIndex(({ id }) => id === question.id);
  const parent = shown.findIndex(({ id }) => id === question.parent_id);
  detail.messages = [...shown.slice(0, known >= 0 ? known : parent + 1), question, answer];
  current.answer = answer.id;
  atEnd = true;
  edit(null);
  showDetail(detail);
  showList();
  return answer.id;
}

function finished(message) {
  current.views.get(message.id)?.update(message);
  const { messages } = current.detail;
  messages.splice(-1, 1, message);
  over();
  const problem = message.state === "failed";
  say(problem ? "The answer failed" : message.state === "complete" ? "Answered" : "Stopped", problem);
  if (!current.detail.title && message.state === "complete") awaitTitle(current.id).catch(() => {});
  else loadList().catch(() => {});
}

function over() {
  current.answer = null;
  busy(false);
}

const stop = guarded(async () => {
  if (!current.answer) return;
  say("Stopping…");
  // It may have ended in the meantime.
  await call(`${path()}/current`, { method: "DELETE" }).catch((error) => {
    if (error.status !== 404) throw error;
  });
});

function showAllowance(header) {
  const left = /r=(\d+)/.exec(header ?? "")?.[1];
  $("send").title = left ? `${Number(left).toLocaleString()} tokens left today` : "";
}

// --- Input ----------------------------------------------------------------------------------------------------

let atEnd = true;
$("scroll").addEventListener("scroll", () => {
  const { scrollHeight, scrollTop, clientHeight } = $("scroll");
  atEnd = scrollHeight - scrollTop - clientHeight < 60;
});

function grow() {
  $("question").style.height = "auto";
  $("question").style.height = `${Math.min($("question").scrollHeight + 2, innerHeight / 3)}px`;
}

$("question").addEventListener("input", grow);
$("question").addEventListener("keydown", (event) => {
  // While an input method composes a word, Enter belongs to it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
$("cancel").addEventListener("click", () => edit(null));
$("stop").addEventListener("click", stop);
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || $("dialog").open) return;
  if (current.answer) stop();
  else if (!$("editing").hidden) edit(null);
  else openMenu(false);
});

function openMenu(opened) {
  $("conversations").classList.toggle("open", opened);
  $("menu").setAttribute("aria-expanded", String(opened));
}
$("menu").addEventListener("click", () => openMenu($("menu").getAttribute("aria-expanded") === "false"));
$("new").addEventListener("click", openNew);
$("more").addEventListener("click", guarded(() => loadList(true)));

/** Ask in a dialog; resolve to what was entered, or null. */
function confirmed(title, ok, value = null) {
  $("dialog-title").textContent = title;
  $("dialog-ok").textContent = ok;
  $("dialog-label").hidden = value === null;
  $("dialog-input").required = value !== null;
  $("dialog-input").value = value ?? "";
  $("dialog").returnValue = "";
  $("dialog").showModal();
  return new Promise((done) => {
    $("dialog").addEventListener("close", () => done($("dialog").returnValue ? $("dialog-input").value : null), { once: true });
  });
}
$("dialog-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("dialog").close("ok");
});
$("dialog-cancel").addEventListener("click", () => $("dialog").close());

$("rename").addEventListener("click", guarded(async () => {
  const title = await confirmed("Rename this conversation", "Rename", current.detail.title ?? "");
  if (!title?.trim()) return;
  await send("PATCH", `${root}/${current.id}`, { title: title.trim() });
  current.detail.title = title.trim();
  showHead();
  await loadList();
}));

$("delete").addEventListener("click", guarded(async () => {
  if ((await confirmed("Delete this conversation with all its messages?", "Delete")) === null) return;
  const { id } = current;
  openNew();
  await call(`${root}/${id}`, { method: "DELETE" });
  await loadList();
  say("Deleted");
}));

$("suggestions").append(
  ...SUGGESTIONS.map((text) => {
    const button = element("button", { type: "button", text });
    button.addEventListener("click", () => {
      $("question").value = text;
      ask();
    });
    return element("li", {}, button);
  }),
);

addEventListener("hashchange", guarded(() => open(location.hash.slice(1))));
$("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the conversation
  $("question").focus();
});

// --- Start ----------------------------------------------------------------------------------------------------

async function start() {
  await loadList();
  $("sign-in").hidden = true;
  $("app").hidden = $("menu").hidden = false;
  $("sign-out").hidden = !signedIn();
  say("Ready");
  const wanted = location.hash.slice(1);
  if (wanted) await open(wanted, signedIn()).catch(openNew);
  else openNew();
}

async function begun(attempt = 0) {
  try {
    await start();
  } catch (error) {
    if (error.status === 401) return;
    say("The server does not answer; trying again", true);
    await pause(attempt);
    await begun(attempt + 1);
  }
}

begun();
