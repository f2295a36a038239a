// The tabs of a lesson: terminals and web pages, as WAI-ARIA describes tabs.

import { Shell } from "./terminal.js";

export class Tabs {
  constructor(list, panels) {
    this.list = list;
    this.panels = panels;
    this.tabs = [];
    this.screenReader = false;
    list.addEventListener("keydown", (event) => this.move(event));
  }

  // Show these presentations; keep what is open as long as the environment stays the same.
  update(live) {
    const wanted = live.endpoints.flatMap((endpoint) =>
      endpoint.presentations.map((way) => ({ ...way, endpoint: endpoint.name, alone: endpoint.presentations.length === 1 })));
    const signature = JSON.stringify([live.id, live.attempt, wanted.map((way) => way.path)]);
    if (signature === this.signature) {
      return;
    }
    this.clear();
    this.signature = signature;
    this.tabs = wanted.map((way, index) => this.add(way, index));
    if (this.tabs.length) {
      this.select(this.tabs[0]);
    }
  }

  add(way, index) {
    const button = document.createElement("button");
    const panel = document.createElement("div");
    const name = way.alone ? way.endpoint : `${way.endpoint} · ${way.name}`;
    Object.assign(button, { type: "button", id: `tab-${index}`, textContent: name, role: "tab", tabIndex: -1 });
    button.setAttribute("aria-controls", `panel-${index}`);
    button.setAttribute("aria-selected", "false");
    Object.assign(panel, { id: `panel-${index}`, role: "tabpanel", hidden: true });
    panel.setAttribute("aria-labelledby", button.id);
    this.list.append(button);
    this.panels.append(panel);
    const tab = { way, name, button, panel };
    button.addEventListener("click", () => {
      this.select(tab);
      tab.shell?.terminal.focus();
    });
    return tab;
  }

  select(tab) {
    for (const other of this.tabs) {
      const chosen = other === tab;
      other.button.setAttribute("aria-selected", String(chosen));
      other.button.tabIndex = chosen ? 0 : -1;
      other.panel.hidden = !chosen;
    }
    this.selected = tab;
    if (!tab.panel.firstChild) {
      (tab.way.type === "ssh" ? this.openShell : this.openPage).call(this, tab);
    }
    tab.shell?.resize();
  }

  openShell(tab) {
    const screen = document.createElement("div");
    screen.className = "screen";
    tab.panel.append(screen);
    tab.shell = new Shell(tab.way.path, screen, {
      screenReader: this.screenReader,
      onLeave: () => tab.button.focus(),
    });
  }

  openPage(tab) {
    const tools = document.createElement("div");
    const reload = document.createElement("button");
    const apart = document.createElement("a");
    const frame = document.createElement("iframe");
    tools.className = "page-tools";
    Object.assign(reload, { type: "button", textContent: "Reload" });
    Object.assign(apart, { className: "button", href: tab.way.path, target: "_blank", rel: "noopener", textContent: "Open in a tab of its own" });
    Object.assign(frame, { src: tab.way.path, title: `Web page of ${tab.name}` });
    // The gateway's policy says the same; a page of a lesson is not to be trusted. At a host name of
    // its own it cannot reach ours, and may be at home there.
    const apartFromUs = new URL(tab.way.path, location.href).origin !== location.origin;
    frame.sandbox = `allow-scripts allow-forms allow-popups${apartFromUs ? " allow-same-origin" : ""}`;
    reload.addEventListener("click", () => { frame.src = tab.way.path; });
    tools.append(reload, apart);
    tab.panel.append(tools, frame);
  }

  move(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1 };
    const count = this.tabs.length;
    let place = this.tabs.indexOf(this.selected);
    if (event.key in steps) {
      place = (place + steps[event.key] + count) % count;
    } else if (event.key === "Home") {
      place = 0;
    } else if (event.key === "End") {
      place = count - 1;
    } else {
      return;
    }
    event.preventDefault();
    this.select(this.tabs[place]);
    this.tabs[place].button.focus();
  }

  // Authors name an endpoint, a presentation, or both.
  find(name) {
    const fits = [
      ({ way }) => way.endpoint === name && way.type === "ssh",
      ({ way }) => way.endpoint === name,
      ({ way }) => way.name === name,
      ({ way }) => `${way.endpoint}-${way.name}` === name,
    ];
    return fits.map((fit) => this.tabs.find(fit)).find(Boolean);
  }

  run(name, text) {
    const tab = this.find(name);
    if (!tab || tab.way.type !== "ssh") {
      return false;
    }
    this.select(tab);
    tab.shell.run(text);
    return true;
  }

  setScreenReader(on) {
    this.screenReader = on;
    for (const { shell } of this.tabs) {
      if (shell) {
        shell.terminal.options.screenReaderMode = on;
      }
    }
  }

  clear() {
    for (const { shell } of this.tabs) {
      shell?.close();
    }
    this.tabs = [];
    this.signature = "";
    this.list.replaceChildren();
    this.panels.replaceChildren();
  }
}
