// The view of a message: its text, the tool calls within it, how it ended, and its actions.

import { copyButton, element, show } from "./markdown.js";

const ENDED = {
  stopped: "You stopped this answer.",
  interrupted: "The server stopped before this answer was complete.",
};

/** A view of a message, updated while its answer arrives; `actions` are called with the message. */
export class MessageView {
  constructor(message, actions) {
    this.actions = actions;
    this.parts = element("div", { className: "parts" });
    this.head = element("div", { className: "meta" });
    this.end = element("p", { className: "end" });
    this.foot = element("div", { className: "actions" });
    this.node = element("li", { className: message.role }, this.head, this.parts, this.end, this.foot);
    this.update(message);
  }

  update(message) {
    this.message = message;
    const time = element("time", {
      dateTime: message.created_at,
      text: new Date(message.created_at).toLocaleTimeString([], { timeStyle: "short" }),
    });
    const asked = message.role === "user";
    this.head.replaceChildren(asked ? "You · " : "Assistant · ", time);
    if (message.model) this.head.append(` · ${message.model}`);
    if (message.usage) {
      const { input_tokens, output_tokens } = message.usage;
      this.head.append(` · ${input_tokens} tokens read, ${output_tokens} written`);
    }
    this.node.dataset.state = message.state;
    this.node.dataset.id = message.id;
    this.node.setAttribute("aria-busy", String(message.state === "streaming"));
    this.refresh();
    this.end.textContent = this.ending();
    this.showActions();
  }

  /** Add an event of the stream; the next frame shows it. */
  add(event, data) {
    if (event === "token") this.message.content += data.text;
    if (event === "tool") {
      const known = this.message.tools.findIndex(({ id }) => id === data.id);
      if (known < 0) this.message.tools.push(data);
      else this.message.tools[known] = data;
    }
    this.frame ??= requestAnimationFrame(() => this.refresh());
  }

  /** Show the text, with tools between its parts: their offsets count code points. */
  refresh() {
    if (this.frame) cancelAnimationFrame(this.frame);
    this.frame = null;
    const { role, content, tools } = this.message;
    const wanted = [];
    const points = tools.length ? [...content] : null;
    let from = 0;
    for (const tool of tools) {
      if (tool.offset > from) wanted.push(["text", points.slice(from, tool.offset).join("")]);
      wanted.push(["tool", tool]);
      from = Math.max(from, tool.offset);
    }
    const rest = points ? points.slice(from).join("") : content;
    if (rest || !wanted.length) wanted.push(["text", rest]);
    wanted.forEach(([kind, value], number) => {
      let part = this.parts.children[number];
      if (part?.dataset.kind !== kind) {
        const made = kind === "tool" ? toolPart() : element("div", { className: role === "user" ? "plain" : "text" });
        made.dataset.kind = kind;
        if (part) part.replaceWith(made);
        else this.parts.append(made);
        part = made;
      }
      if (kind === "tool") showTool(part, value);
      else if (role === "user") part.textContent = value;
      else show(part, value);
    });
    while (this.parts.children.length > wanted.length) this.parts.lastElementChild.remove();
    this.actions.changed?.(this);
  }

  ending() {
    const { state, error, finish_reason } = this.message;
    if (state === "failed") return `${error?.detail ?? "The answer failed."} The partial answer is above.`;
    if (finish_reason === "length") return "The answer reached its maximum length.";
    return ENDED[state] ?? "";
  }

  showActions() {
    const { message, actions } = this;
    const button = (text, action, more = {}) => {
      const made = element("button", { type: "button", className: "small", text, ...more });
      made.addEventListener("click", () => action(message));
      return made;
    };
    const { siblings, id, role, state } = message;
    const made = [];
    if (siblings.length > 1) {
      const at = siblings.indexOf(id);
      const go = (step) => button(step < 0 ? "‹" : "›", () => actions.choose(siblings[at + step]), {
        disabled: !(at + step in siblings),
        ariaLabel: step < 0 ? "Previous version" : "Next version",
      });
      made.push(element("span", { className: "versions" }, go(-1), `${at + 1} of ${siblings.length}`, go(1)));
    }
    if (role === "user") made.push(button("Edit", actions.edit));
    else if (state !== "streaming") {
      made.push(button("Answer again", actions.regenerate), copyButton(() => message.content));
    }
    this.foot.replaceChildren(...made);
  }
}

function toolPart() {
  const part = element("details", { className: "tool" });
  part.append(element("summary"), element("pre", { tabIndex: 0 }), element("pre", { tabIndex: 0 }));
  return part;
}

function showTool(part, { name, arguments: given, state, result }) {
  const [summary, asked, answered] = part.children;
  part.dataset.state = state;
  summary.textContent = `Tool ${name}: ${state}`;
  asked.textContent = JSON.stringify(given, null, 2);
  answered.textContent = readable(result ?? "");
  answered.hidden = result === null;
}

function readable(result) {
  try {
    return JSON.stringify(JSON.parse(result), null, 2);
  } catch {
    return result;
  }
}
