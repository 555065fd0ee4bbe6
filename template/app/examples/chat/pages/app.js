// The page of chat and live notes: no library, no build step. It detects whether callers sign in here.

import { offerRegistration } from "./register.js";

const api = new URL("../api/v1/", location.href);
const $ = (id) => document.getElementById(id);
const tokens = { access: null, refresh: null, timer: null };
const chat = { room: null, socket: null, seen: 0, me: null, unsent: new Map(), attempt: 0, timer: null };
const notes = { controller: null, last: null };

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
  }
}

function element(tag, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

function say(text, bad = false) {
  if ($("status").textContent === text) return;
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

// --- HTTP -----------------------------------------------------------------------------------------------------

async function call(path, options = {}) {
  const headers = new Headers(options.headers);
  if (tokens.access) headers.set("Authorization", `Bearer ${tokens.access}`);
  const answer = await fetch(new URL(path, api), { ...options, headers });
  if (answer.status === 401 && !path.startsWith("auth/")) {
    if (tokens.refresh && (await refresh())) return call(path, options);
    askWho();
  }
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

const post = (path, body) =>
  call(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

// --- Who is calling -------------------------------------------------------------------------------------------

function keep(answer) {
  tokens.access = answer.access_token;
  tokens.refresh = answer.refresh_token;
  clearTimeout(tokens.timer);
  tokens.timer = setTimeout(refresh, answer.expires_in * 800);
  if (chat.socket?.readyState === WebSocket.OPEN) send({ type: "authenticate", token: tokens.access });
}

let refreshing = null;
function refresh() {
  refreshing ??= (async () => {
    try {
      keep(await (await post("auth/refresh", { refresh_token: tokens.refresh })).json());
      return true;
    } catch (error) {
      if (error instanceof Refused) tokens.access = tokens.refresh = null;
      return false;
    } finally {
      refreshing = null;
    }
  })();
  return refreshing;
}

function askWho() {
  leave();
  notes.controller?.abort();
  $("app").hidden = true;
  $("sign-out").hidden = true;
  $("sign-in").hidden = false;
  say("Sign in to talk");
  if (!$("sign-in-form").hidden) $("sign-in-form").elements.username.focus();
}

async function signIn(credentials) {
  keep(await (await call("auth/token", { method: "POST", body: new URLSearchParams(credentials) })).json());
  await start();
}

offerRegistration(post, signIn);

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  $("sign-in-error").textContent = "";
  try {
    await signIn(new FormData(form));
    form.reset();
  } catch (error) {
    $("sign-in-error").textContent = error.message;
    form.elements.password.select();
  }
});

$("sign-out").addEventListener("click", async () => {
  const refresh_token = tokens.refresh;
  clearTimeout(tokens.timer);
  tokens.access = tokens.refresh = null;
  await post("auth/logout", { refresh_token }).catch(() => {});
  location.reload();
});

// --- Rooms ----------------------------------------------------------------------------------------------------

async function showRooms() {
  const { items } = await (await call("chat/rooms?limit=50")).json();
  $("rooms").replaceChildren(
    ...items.map((room) => {
      const button = element("button", { type: "button", text: room.name, onclick: () => enter(room, true) });
      button.dataset.room = room.id;
      if (room.id === chat.room?.id) button.setAttribute("aria-current", "true");
      return element("li", {}, button);
    }),
  );
  return items;
}

$("new-room").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const room = await (await post("chat/rooms", { name: event.target.elements.name.value })).json();
    event.target.reset();
    await showRooms();
    enter(room, true);
  } catch (error) {
    say(error.message, true);
  }
});

function leave() {
  clearTimeout(chat.timer);
  const socket = chat.socket;
  chat.socket = null;
  socket?.close();
}

async function enter(room, focus = false) {
  leave();
  Object.assign(chat, { room, seen: 0, unsent: new Map(), attempt: 0 });
  history.replaceState(null, "", `#${room.id}`);
  $("room-title").textContent = room.name;
  $("presence").textContent = "";
  $("messages").replaceChildren();
  for (const button of $("rooms").querySelectorAll("button")) {
    button.toggleAttribute("aria-current", button.dataset.room === room.id);
  }
  if (focus) $("say").focus();
  try {
    const { items } = await (await call(`chat/rooms/${room.id}/messages?limit=50`)).json();
    if (chat.room !== room) return;
    items.reverse().forEach(show);
    connect();
  } catch (error) {
    if (chat.room === room && error.status !== 401) retry();
  }
}

// --- The socket -----------------------------------------------------------------------------------------------

function send(frame) {
  chat.socket.send(JSON.stringify(frame));
}

function connect() {
  leave();
  const url = new URL(`chat/rooms/${chat.room.id}/ws?after=${chat.seen}`, api);
  url.protocol = url.protocol.replace("http", "ws");
  // In version 2 of the protocol messages may share a frame.
  const protocols = ["keel.chat.v2", "keel.chat.v1", ...(tokens.access ? ["bearer", tokens.access] : [])];
  const socket = (chat.socket = new WebSocket(url, protocols));
  socket.onmessage = ({ data }) => socket === chat.socket && receive(JSON.parse(data));
  socket.onclose = ({ code }) => socket === chat.socket && lost(code);
}

async function lost(code) {
  chat.socket = null;
  if (code === 4403 || code === 4404) {
    say("You may not be in this room", true);
    return;
  }
  if (code === 4401 && tokens.refresh && !(await refresh())) return askWho();
  retry();
}

function retry() {
  const seconds = Math.min(15, 0.5 * 2 ** chat.attempt++) * (0.5 + Math.random() / 2);
  say(navigator.onLine ? "Connection lost; trying again" : "You are offline", true);
  clearTimeout(chat.timer);
  chat.timer = setTimeout(async () => {
    try {
      // A browser does not say why a handshake was refused; HTTP does.
      await call(`chat/rooms/${chat.room.id}`);
      connect();
    } catch (error) {
      if (error.status === 404) say("This room is gone", true);
      else if (error.status !== 401) retry();
    }
  }, seconds * 1000);
}

addEventListener("online", () => chat.room && !chat.socket && retry());

function receive(frame) {
  if (frame.type === "ready") {
    chat.me = frame.you;
    chat.attempt = 0;
    say("Connected");
    for (const [client_id, { body }] of chat.unsent) send({ type: "message", client_id, body });
  } else if (frame.type === "message") {
    show(frame);
  } else if (frame.type === "messages") {
    frame.messages.forEach(show);
  } else if (frame.type === "presence") {
    const more = frame.count - frame.members.length;
    const names = frame.members.map((name) => (name === chat.me ? "you" : short(name)));
    $("presence").textContent = `Here: ${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  } else if (frame.type === "error") {
    say(frame.detail, true);
    if (frame.code === "unavailable") setTimeout(() => again(frame.client_id), 2000);
    else if (frame.client_id) drop(frame.client_id);
  }
}

function again(client_id) {
  const waiting = chat.unsent.get(client_id);
  if (waiting && chat.socket?.readyState === WebSocket.OPEN) send({ type: "message", client_id, body: waiting.body });
}

function drop(client_id) {
  chat.unsent.get(client_id)?.item.remove();
  chat.unsent.delete(client_id);
}

// --- Messages -------------------------------------------------------------------------------------------------

const short = (subject) => (subject.length > 12 ? subject.slice(-6) : subject);

function item(sender, body, sentAt, mine) {
  const time = sentAt
    ? element("time", { dateTime: sentAt, text: new Date(sentAt).toLocaleTimeString([], { timeStyle: "short" }) })
    : "waiting";
  const meta = element("div", { className: "meta" }, `${mine ? "You" : short(sender)} · `, time);
  return element("li", { className: mine ? "mine" : "" }, meta, body || "(deleted)");
}

function add(made) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.append(made);
  if (atEnd || made.classList.contains("mine")) list.scrollTop = list.scrollHeight;
}

function show(message) {
  if (message.id <= chat.seen) return;
  chat.seen = message.id;
  // Without sign-in, all callers are the same guest: this page knows its own messages.
  const mine = chat.unsent.has(message.client_id) || (message.sender === chat.me && message.sender !== "guest");
  drop(message.client_id);
  add(item(message.sender, message.body, message.sent_at, mine));
}

function name() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = event.target.elements.body.value.trim();
  if (!body || !chat.room) return;
  const waiting = item("", body, null, true);
  waiting.classList.add("waiting");
  const client_id = name();
  chat.unsent.set(client_id, { body, item: waiting });
  add(waiting);
  event.target.reset();
  again(client_id);
});

// --- Notes ----------------------------------------------------------------------------------------------------

$("new-note").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await post("notes", { title: event.target.elements.title.value });
    event.target.reset();
  } catch (error) {
    say(error.message, true);
  }
});

function showNote(kind, { id, title }) {
  const made = element("li", {}, element("span", { className: "meta", text: kind && `${kind} ` }), title);
  made.dataset.note = id;
  $("notes").querySelector(`[data-note="${id}"]`)?.remove();
  $("notes").prepend(made);
  while ($("notes").children.length > 20) $("notes").lastElementChild.remove();
}

async function showNotes() {
  const { items } = await (await call("notes?limit=20")).json();
  $("notes").replaceChildren();
  for (const note of items.reverse()) showNote("", note);
}

// EventSource cannot send a token, so the stream is read with fetch.
async function listen() {
  const controller = (notes.controller = new AbortController());
  for (let attempt = 0; !controller.signal.aborted; attempt++) {
    try {
      const headers = notes.last ? { "Last-Event-ID": notes.last } : {};
      const answer = await call("notes/events", { headers, signal: controller.signal });
      attempt = 0;
      // Notes from before the first event are not in the stream.
      if (!notes.last) await showNotes();
      await read(answer.body.pipeThrough(new TextDecoderStream()));
    } catch (error) {
      if (error.status === 401 || controller.signal.aborted) return;
    }
    await new Promise((done) => setTimeout(done, Math.min(15000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2)));
  }
}

async function read(stream) {
  let buffer = "";
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (buffer + part.value.replaceAll("\r", "")).split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      await onEvent(Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s, 2))));
    }
  }
}

async function onEvent({ id, event, data }) {
  if (id) notes.last = id;
  if (event === "reset") {
    // The missed changes are not sent: fetch the current list.
    notes.last = null;
    await showNotes();
  } else if (event) showNote(event, JSON.parse(data));
}

// --- Start ----------------------------------------------------------------------------------------------------

async function start() {
  const rooms = await showRooms();
  $("sign-in").hidden = true;
  $("app").hidden = false;
  $("sign-out").hidden = !tokens.refresh;
  say("Open a room to talk");
  listen();
  const room = rooms.find(({ id }) => `#${id}` === location.hash) ?? rooms[0];
  if (room) await enter(room, Boolean(tokens.refresh));
  else $("room-name").focus();
}

async function begin(attempt = 0) {
  try {
    await start();
  } catch (error) {
    if (error.status === 401) return;
    say("The server does not answer; trying again", true);
    setTimeout(begin, Math.min(15000, 500 * 2 ** attempt), attempt + 1);
  }
}

begin();
