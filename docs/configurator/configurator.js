// The configurator: what `copier copy` makes of some answers, from the figures in data.json.
// A figure that depends on answers is a sum of terms, such as {"": 3, "auth redis": -1}; tests/machinery/configurator.py makes them.

const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

const evaluate = (figure, given) => {
  if (typeof figure === "number") return figure;
  let total = 0;
  for (const [term, count] of Object.entries(figure)) {
    if (term === "" || term.split(" ").every((literal) => given.has(literal))) total += count;
  }
  return total;
};

const literals = (answers) =>
  new Set(Object.entries(answers).map(([name, value]) => (value === true ? name : `${name}=${value}`)));

const defaults = (data, preset) => {
  const { on } = data.presets.find(({ name }) => name === preset);
  return Object.fromEntries(data.questions.map(({ name, default: value }) => [name, value ?? on.includes(name)]));
};

const outcome = (data, answers) => {
  const given = literals(answers);
  const there = (list) => list.filter(([, when]) => evaluate(when, given)).map(([name]) => name);
  const files = data.files.filter(([, when]) => evaluate(when, given)).map(([path, , lines]) => [path, evaluate(lines, given)]);
  return {
    files,
    lines: files.reduce((sum, [, lines]) => sum + lines, 0),
    services: there(data.services),
    settings: there(data.settings),
    dependencies: there(data.dependencies),
  };
};

// A word as a shell takes it.
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

const command = (data, { name, source, preset, answers }) => {
  const suggested = defaults(data, preset);
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "app";
  const given = [["project_name", name], ["preset", preset]];
  for (const [question, value] of Object.entries(answers)) {
    if (value !== suggested[question]) given.push([question, value]);
  }
  const options = given.map(([question, value]) => `--data ${quoted(`${question}=${value}`)}`);
  return ["uvx copier copy --defaults", ...options, `${quoted(source)} ${slug}`].join(" \\\n  ");
};

const tree = (files) => {
  const root = new Map();
  for (const [path, lines] of files) {
    const parts = path.split("/");
    const last = parts.pop();
    let folder = root;
    for (const part of parts) {
      if (!folder.has(part)) folder.set(part, new Map());
      folder = folder.get(part);
    }
    folder.set(last, lines);
  }
  return root;
};

const size = (node) => (node instanceof Map ? [...node.values()].reduce((sum, each) => sum + size(each), 0) : 1);

const branches = (folder, path, open) => {
  const entries = [...folder].sort(([a, x], [b, y]) => (y instanceof Map) - (x instanceof Map) || a.localeCompare(b));
  return entries.map(([name, node]) => {
    const place = `${path}${name}`;
    if (!(node instanceof Map)) return element("li", {}, name, element("small", {}, ` ${node || ""}`));
    const details = element("details", { open: open.has(place) }, element("summary", {}, `${name}/`, element("small", {}, ` ${size(node)}`)));
    details.addEventListener("toggle", () => (details.open ? open.add(place) : open.delete(place)));
    details.append(element("ul", {}, ...branches(node, `${place}/`, open)));
    return element("li", {}, details);
  });
};

const read = (data) => {
  const asked = new URLSearchParams(location.hash.slice(1));
  const preset = data.presets.some(({ name }) => name === asked.get("preset")) ? asked.get("preset") : "api";
  const answers = defaults(data, preset);
  for (const { name, choices } of data.questions) {
    const value = asked.get(name);
    if (choices.length && choices.some(([choice]) => choice === value)) answers[name] = value;
    if (!choices.length && (value === "true" || value === "false")) answers[name] = value === "true";
  }
  return { name: asked.get("name") || "Harbour Log", source: asked.get("source") || "./keel", preset, answers };
};

const write = (data, state) => {
  const suggested = defaults(data, state.preset);
  const told = new URLSearchParams({ preset: state.preset });
  if (state.name !== "Harbour Log") told.set("name", state.name);
  if (state.source !== "./keel") told.set("source", state.source);
  for (const [name, value] of Object.entries(state.answers)) if (value !== suggested[name]) told.set(name, value);
  history.replaceState(history.state, "", `#${told}`);
};

const difference = (data, state, name) => {
  const [off, on] = [false, true].map((value) => outcome(data, { ...state.answers, [name]: value }));
  const services = on.services.length - off.services.length;
  const lines = (on.lines - off.lines).toLocaleString("en");
  const containers = services ? `, ${services} container${services === 1 ? "" : "s"}` : "";
  return `${on.files.length - off.files.length} files, ${lines} lines${containers}`;
};

const choices = (legend, name, options, chosen, why, choose) =>
  element(
    "fieldset",
    {},
    element("legend", {}, legend),
    ...(why ? [element("p", { className: "why" }, why)] : []),
    ...options.map(([value, label]) =>
      element(
        "label",
        {},
        element("input", { type: "radio", name, value, checked: value === chosen, onchange: () => choose(value) }),
        ` ${label}`,
      ),
    ),
  );

const named = (title, names, empty) =>
  element(
    "details",
    { open: names.length < 12 },
    element("summary", {}, `${title} `, element("small", {}, String(names.length))),
    names.length ? element("ul", { className: "names" }, ...names.map((name) => element("li", {}, element("code", {}, name)))) : element("p", {}, empty),
  );

const show = (root, data) => {
  const state = read(data);
  const form = element("form", { className: "questions", onsubmit: (event) => event.preventDefault() });
  const result = element("section", { className: "result", "aria-label": "Your project" });
  const open = new Set(["app", "app/examples", "keel"]);

  const text = (label, key) => {
    const input = element("input", { type: "text", value: state[key], required: true, maxLength: 80 });
    input.addEventListener("input", () => {
      state[key] = input.value.trim() || "Harbour Log";
      answered();
    });
    return element("label", { className: "text" }, label, input);
  };

  const draw = () => {
    const toggles = data.questions.filter(({ default: value }) => value === null);
    const yes = ({ name, help, why }) =>
      element(
        "div",
        { className: "toggle" },
        element(
          "label",
          {},
          element("input", {
            type: "checkbox",
            name,
            checked: state.answers[name],
            onchange: (event) => choose(name, event.target.checked),
          }),
          element("strong", {}, ` ${name} `),
          element("span", {}, help),
        ),
        element("p", { className: "why" }, `${why} `, element("a", { href: `../questions/#${name}` }, "More"), element("small", { id: `of-${name}` })),
      );
    const others = data.questions.filter(({ default: value }) => value !== null);
    const one = (question) =>
      question.choices.length
        ? choices(question.help, question.name, question.choices, state.answers[question.name], question.why, (value) => choose(question.name, value))
        : yes(question);
    form.replaceChildren(
      text("Name of the project", "name"),
      choices("Preset", "preset", data.presets.map(({ name, label }) => [name, label]), state.preset, "What is suggested below; each can be changed.", (value) => {
        state.preset = value;
        const kept = Object.fromEntries(others.map(({ name }) => [name, state.answers[name]]));
        state.answers = { ...defaults(data, value), ...kept };
        draw();
        form.querySelector(`input[name=preset][value=${value}]`).focus();
      }),
      one(others[0]),
      element("fieldset", {}, element("legend", {}, "Features"), ...toggles.map(yes)),
      element("fieldset", {}, element("legend", {}, "Besides"), ...others.slice(1).map(one)),
      text("Where your checkout of Keel is, or its address", "source"),
    );
    answered();
  };

  const choose = (name, value) => {
    state.answers[name] = value;
    answered();
  };

  const answered = () => {
    write(data, state);
    const found = outcome(data, state.answers);
    for (const { name, choices: options } of data.questions) {
      if (!options.length) form.querySelector(`#of-${name}`).textContent = ` · ${difference(data, state, name)}`;
    }
    const line = element("code", {}, command(data, state));
    const copy = element("button", { type: "button" }, "Copy");
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(line.textContent);
      copy.textContent = "Copied";
    });
    result.replaceChildren(
      element("h2", {}, "The command"),
      element("div", { className: "command" }, element("pre", { tabIndex: 0 }, line), copy),
      element(
        "p",
        { className: "figures", role: "status" },
        `${found.files.length} files, ${found.lines.toLocaleString("en")} lines, ${found.services.length} containers on your machine, `,
        `${found.dependencies.length} dependencies, ${found.settings.length} settings, each with a default.`,
      ),
      element("h2", {}, "What it makes"),
      element("ul", { className: "tree" }, ...branches(tree(found.files), "", open)),
      named("Containers of compose.yaml", found.services.map((each) => each.replace("|", "  ")), "None."),
      named("Dependencies", found.dependencies, "None."),
      named("Settings", found.settings, "None."),
    );
  };

  draw();
  root.replaceChildren(form, result);
};

const start = async () => {
  const root = document.getElementById("choices");
  if (!root || root.childElementCount) return;
  const answer = await fetch(root.dataset.source);
  show(root, await answer.json());
};

// The theme replaces the page without loading it anew, and says so here.
if (window.document$) window.document$.subscribe(start);
else document.addEventListener("DOMContentLoaded", start);
