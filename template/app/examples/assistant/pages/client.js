// The page's client: requests, tokens, and event streams.

const api = new URL("../../api/v1/", location.href);
const tokens = { access: null, refresh: null, timer: null };
const hooks = { signedOut: () => {} };

/** Set the handler for when the caller has to sign in. */
export const onSignedOut = (action) => (hooks.signedOut = action);
export const signedIn = () => Boolean(tokens.refresh);

export class Refused extends Error {
  constructor(status, problem, headers) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.type = problem.type;
    this.retryAfter = headers.get("Retry-After");
  }
}

export async function call(path, options = {}) {
  const headers = new Headers(options.headers);
  if (tokens.access) headers.set("Authorization", `Bearer ${tokens.access}`);
  const answer = await fetch(new URL(path, api), { ...options, headers });
  if (answer.status === 401 && !path.startsWith("auth/")) {
    if (tokens.refresh && (await refresh())) return call(path, options);
    hooks.signedOut();
  }
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})), answer.headers);
  return answer;
}

export const send = (method, path, body, options = {}) =>
  call(path, { ...options, method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

export const get = async (path) => (await call(path)).json();

// --- Who is calling -------------------------------------------------------------------------------------------

function keep(answer) {
  tokens.access = answer.access_token;
  tokens.refresh = answer.refresh_token;
  clearTimeout(tokens.timer);
  tokens.timer = setTimeout(refresh, answer.expires_in * 800);
}

let refreshing = null;
export function refresh() {
  refreshing ??= (async () => {
    try {
      keep(await (await send("POST", "auth/refresh", { refresh_token: tokens.refresh })).json());
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

export async function signIn(form) {
  keep(await (await call("auth/token", { method: "POST", body: new URLSearchParams(new FormData(form)) })).json());
}

export async function signOut() {
  const refresh_token = tokens.refresh;
  clearTimeout(tokens.timer);
  tokens.access = tokens.refresh = null;
  await send("POST", "auth/logout", { refresh_token }).catch(() => {});
}

// --- Streams --------------------------------------------------------------------------------------------------

/** Yield the events of a response: `{id, event, data}`. EventSource can neither POST nor send a token. */
export async function* events(answer) {
  let buffer = "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const blocks = (buffer + part.value.replaceAll("\r", "")).split("\n\n");
      buffer = blocks.pop();
      for (const block of blocks) {
        const event = parse(block);
        if (event.event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(block) {
  const event = {};
  for (const line of block.split("\n")) {
    const [name, value = ""] = line.split(/: ?(.*)/s, 2);
    if (name) event[name] = name in event ? `${event[name]}\n${value}` : value;
  }
  return event;
}

/** Return after a delay that grows with the attempts, or as soon as the browser is online again. */
export function pause(attempt) {
  const seconds = Math.min(15, 0.5 * 2 ** attempt) * (0.5 + Math.random() / 2);
  return new Promise((done) => {
    const timer = setTimeout(over, seconds * 1000);
    addEventListener("online", over);
    function over() {
      clearTimeout(timer);
      removeEventListener("online", over);
      done();
    }
  });
}
