// The objectives of the stage: what is reached, what the last check said, and what may help.

const MARKS = { waiting: "○", checking: "◌", passed: "✓", failed: "○", error: "!" };

export class Objectives {
  // checkNow(slug) asks for a check.
  constructor(section, checkNow) {
    this.section = section;
    this.checkNow = checkNow;
    this.rows = new Map();
    this.part = (name) => section.querySelector(`[data-part=${name}]`);
  }

  // Show these objectives, or nothing for null.
  update(place, objectives) {
    this.section.hidden = !objectives;
    if (place !== this.place) {
      this.place = place;
      this.rows.clear();
      this.part("items").replaceChildren();
      this.seen = null;
    }
    if (!objectives) {
      return;
    }
    const { items, checking, summary, complete, complete_message: message } = objectives;
    const names = new Map(items.map((item) => [item.slug, item]));
    this.part("summary").textContent = `${summary} reached`;
    this.part("off").hidden = checking;
    for (const item of items) {
      this.show(item, names, checking);
    }
    this.part("complete").hidden = !complete;
    const done = complete ? message || "Every objective of this stage is reached." : "";
    if (this.part("complete").textContent !== plain(done)) {
      written(this.part("complete"), done);
    }
    this.section.classList.toggle("complete", complete);
    this.tell(items, objectives);
  }

  show(item, names, checking) {
    const row = this.rows.get(item.slug) || this.add(item);
    const missing = item.needs.map((slug) => names.get(slug)).filter((needed) => needed?.state !== "passed");
    const open = item.state !== "passed" && !missing.length;
    row.line.dataset.state = item.state;
    row.mark.textContent = MARKS[item.state];
    row.state.textContent = words(item, missing);
    row.message.textContent = item.message;
    row.message.hidden = !item.message;
    const hints = item.state === "passed" ? [] : item.hints;
    // Unchanged hints stay as they are: somebody may be reading them.
    if (row.hints.children.length !== hints.length) {
      row.hints.replaceChildren(...hints.map((hint) => written(made("li"), hint)));
    }
    row.hints.hidden = !hints.length;
    const leaving = document.activeElement === row.button && !(open && checking);
    row.button.hidden = !(open && checking);
    row.button.setAttribute("aria-disabled", String(item.state === "checking"));
    if (leaving) {
      row.line.focus();
    }
  }

  add(item) {
    const line = made("li", { tabIndex: -1 });
    const mark = made("span", { className: "mark", ariaHidden: "true" });
    const text = made("div");
    const title = written(made("p", { className: "title" }), item.description);
    const state = made("p", { className: "state" });
    const message = made("p", { className: "message" });
    const hints = made("ul", { className: "hints", ariaLabel: "Hints" });
    const button = made("button", { type: "button", textContent: "Check now" });
    button.setAttribute("aria-label", `Check now: ${plain(item.description)}`);
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") !== "true") {
        this.checkNow(item.slug);
      }
    });
    if (item.optional) {
      title.append(" ", made("span", { className: "optional", textContent: "optional" }));
    }
    text.append(title, state, message, hints);
    line.append(mark, text, button);
    this.part("items").append(line);
    const row = { line, mark, state, message, hints, button };
    this.rows.set(item.slug, row);
    return row;
  }

  // Say what changed, for those who do not see it.
  tell(items, { summary, complete }) {
    const news = this.seen ? items.map((item) => change(this.seen.get(item.slug), item)).filter(Boolean) : [];
    if (this.seen && complete && !this.complete) {
      news.push(this.part("complete").textContent);
    } else if (news.length) {
      news.push(`${summary} reached.`);
    }
    if (news.length) {
      this.part("news").textContent = news.join(" ");
    }
    this.seen = new Map(items.map((item) => [item.slug, item]));
    this.complete = complete;
  }
}

function words({ state, needs }, missing) {
  switch (state) {
    case "passed": return "Reached";
    case "checking": return "Checking …";
    case "failed": return "Not yet";
    case "error": return "This check does not work, which is not your fault.";
    default: return needs.length && missing.length ? `After: ${missing.map((item) => plain(item.description)).join(", ")}` : "Not checked yet";
  }
}

function change(before, item) {
  const name = plain(item.description);
  const hinted = item.hints.length > before.hints.length;
  if (item.state === "passed") {
    return before.state === "passed" ? "" : `Reached: ${name}`;
  }
  if (before.state === "passed") {
    return `No longer reached: ${name} ${item.message}`;
  }
  if (item.state !== "failed" || (before.state === "failed" && before.message === item.message && !hinted)) {
    return "";
  }
  return `Not yet: ${name} ${item.message}${hinted ? ` Hint: ${plain(item.hints.at(-1))}` : ""}`;
}

// Authors write code between backticks, as in their guides.
function written(place, text) {
  const parts = text.split(/`([^`]+)`/);
  place.replaceChildren(...parts.map((part, number) => (number % 2 ? made("code", { textContent: part }) : part)));
  return place;
}

function plain(text) {
  return text.replaceAll("`", "");
}

function made(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}
