// Statistics of notes in a page, without a build step. uPlot (uplot.LICENSE.txt) draws the timeline; all else is tables.

const api = new URL("../../api/v1/", location.href);
const $ = (id) => document.getElementById(id);
const tokens = { access: null, refresh: null };
const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const QUANTILES = { minimum: "shortest", p25: "25 % up to", median: "half up to", p75: "75 % up to", p90: "90 % up to", p99: "99 % up to", maximum: "longest" };
const shown = { plot: null, rows: [], zone: "UTC" };
const number = new Intl.NumberFormat();
const percent = new Intl.NumberFormat(undefined, { style: "percent", signDisplay: "exceptZero", maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

class Refused extends Error {
  constructor(status, problem) {
    super(problem.errors?.[0]?.message ?? problem.detail ?? problem.title ?? `The server answered ${status}.`);
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
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

// --- HTTP, and who is calling ---------------------------------------------------------------------------------

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

function keep(answer) {
  tokens.access = answer.access_token;
  tokens.refresh = answer.refresh_token;
}

async function refresh() {
  try {
    keep(await (await post("auth/refresh", { refresh_token: tokens.refresh })).json());
    return true;
  } catch {
    tokens.access = tokens.refresh = null;
    return false;
  }
}

function askWho() {
  $("app").hidden = $("sign-out").hidden = true;
  $("sign-in").hidden = false;
  say("Sign in to see your statistics");
  $("sign-in-form").elements.username.focus();
}

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  $("sign-in-error").textContent = "";
  try {
    keep(await (await call("auth/token", { method: "POST", body: new URLSearchParams(new FormData(form)) })).json());
    form.reset();
    await show();
  } catch (error) {
    $("sign-in-error").textContent = error.message;
    form.elements.password.select();
  }
});

$("sign-out").addEventListener("click", async () => {
  await post("auth/logout", { refresh_token: tokens.refresh }).catch(() => {});
  location.reload();
});

// --- What is shown --------------------------------------------------------------------------------------------

function query(...names) {
  const asked = [...new FormData($("filter"))].filter(([name, value]) => value.trim() && (names.includes(name) || ["q", "tag", "tz"].includes(name)));
  return new URLSearchParams(asked);
}

async function show() {
  try {
    const [statistics, rows] = await Promise.all(
      [`notes/statistics?${query()}`, `notes/statistics/timeline?${query("unit")}`].map(async (path) => (await call(path)).json()),
    );
    $("sign-in").hidden = true;
    $("app").hidden = false;
    $("sign-out").hidden = !tokens.access;
    Object.assign(shown, { rows, zone: $("filter").elements.tz.value });
    figures(statistics);
    bars("tags", statistics.tags.map(({ tag, notes }) => [tag, notes]));
    bars("weekdays", statistics.weekdays.map(({ weekday, notes }) => [WEEKDAYS[weekday - 1], notes]));
    bars("lengths", Object.entries(QUANTILES).map(([name, words]) => [words, statistics.lengths[name] ?? 0]));
    table();
    draw();
    say(statistics.notes ? `Updated at ${new Date().toLocaleTimeString()}` : "No notes");
  } catch (error) {
    if (error.status !== 401) say(error.message, true);
  }
}

function figures({ notes, untagged, lengths }) {
  const found = { "notes": notes, "without a tag": untagged, "characters on average": Math.round(lengths.mean ?? 0) };
  $("figures").replaceChildren(
    ...Object.entries(found).map(([name, value]) =>
      element("div", {}, element("dt", { text: name }), element("dd", { text: number.format(value) })),
    ),
  );
}

function bars(id, values) {
  const most = Math.max(1, ...values.map(([, value]) => value));
  $(id).tBodies[0].replaceChildren(
    ...values.map(([name, value]) => {
      const bar = element("div", { className: "bar" });
      bar.style.width = `${(100 * value) / most}%`;
      const head = element("th", { scope: "row", text: name, title: name });
      return element("tr", {}, head, element("td", { text: number.format(value) }), element("td", {}, bar));
    }),
  );
}

function table() {
  $("timeline-table").tBodies[0].replaceChildren(
    ...shown.rows.map((row) => {
      const cells = [number.format(row.notes), short.format(row.moving_average), row.growth === null ? "–" : percent.format(row.growth)];
      return element("tr", {}, element("th", { scope: "row", text: row.period }), ...cells.map((text) => element("td", { text })));
    }),
  );
}

/** The value of a custom property for the scheme that is used now. */
function colour(name) {
  const probe = document.body.appendChild(element("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function draw() {
  const { rows, zone } = shown;
  const place = $("timeline");
  shown.plot?.destroy();
  const total = rows.reduce((sum, row) => sum + row.notes, 0);
  const span = rows.length ? `, from ${rows[0].period} to ${rows.at(-1).period}` : "";
  place.setAttribute("aria-label", `${total} notes in ${rows.length} periods${span}; the table below has the numbers`);
  const half = (first, last) => (rows.length > 1 ? (last - first) / (rows.length - 1) : 86_400) / 2;
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const options = {
    width: place.clientWidth,
    height: Math.max(200, Math.min(320, innerHeight / 2)),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    // Half a period at both ends, or the first and the last bar would be cut.
    scales: { x: { range: (_, first, last) => [first - half(first, last), last + half(first, last)] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [axis, { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000] }],
    series: [
      { label: "From", value: (_, seconds, __, index) => (index === null ? "–" : rows[index].period) },
      { label: "Notes", stroke: colour("--bar"), fill: colour("--bar"), paths: uPlot.paths.bars({ size: [0.7, 48] }), points: { show: false } },
      { label: "Moving average", stroke: colour("--second"), width: 2, points: { show: false }, value: (_, value) => (value === null ? "–" : short.format(value)) },
    ],
  };
  const data = [rows.map((row) => Date.parse(row.begins_at) / 1000), rows.map((row) => row.notes), rows.map((row) => row.moving_average)];
  shown.plot = new uPlot(options, data, place);
}

$("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
$("filter").addEventListener("change", show);

for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", async () => {
    try {
      const answer = await call(`notes/statistics/timeline?${query("unit")}`, { headers: { Accept: button.dataset.download } });
      const name = /filename="(.+?)"/.exec(answer.headers.get("Content-Disposition"))[1];
      const address = URL.createObjectURL(await answer.blob());
      element("a", { href: address, download: name }).click();
      URL.revokeObjectURL(address);
      say(`Downloaded ${name}`);
    } catch (error) {
      say(error.message, true);
    }
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shown.plot && draw());
new ResizeObserver(() => {
  const place = $("timeline");
  if (shown.plot && place.clientWidth !== shown.plot.width) draw();
}).observe($("timeline"));

$("filter").elements.tz.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
show();
