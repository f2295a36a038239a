// One terminal: an xterm.js screen on the gateway's WebSocket.

import { Terminal } from "./vendor/xterm.mjs";
import { FitAddon } from "./vendor/addon-fit.mjs";

const WINDOW_BYTES = 512 * 1024;
const REPORT_BYTES = 64 * 1024;
const RETRY_MS = [200, 500, 1000, 2000, 5000];
// Close codes of gateway/terminals.py after which the same shell may be had again at once.
const LOST = new Set([1001, 1006, 1011, 1012, 1014]);
// After these the livelesson's own events say what comes next.
const NOT_NOW = new Set([4409, 4410]);

const DARK = { background: "#0d1117", foreground: "#e4e8ee", cursor: "#4cc3b4", selectionBackground: "#2f4f5f" };
const LIGHT = {
  background: "#fbfbfd", foreground: "#1c2430", cursor: "#0b7268", selectionBackground: "#b7dcd7",
  black: "#1c2430", red: "#b3261e", green: "#1a6e3c", yellow: "#7a5b00", blue: "#1f55b5",
  magenta: "#8a2a86", cyan: "#0b6b73", white: "#59636f", brightBlack: "#59636f", brightRed: "#c62b22",
  brightGreen: "#1f7f45", brightYellow: "#866400", brightBlue: "#2661cc", brightMagenta: "#9c3198",
  brightCyan: "#0c7881", brightWhite: "#1c2430",
};
const dark = matchMedia("(prefers-color-scheme: dark)");
const encoder = new TextEncoder();

export class Shell {
  constructor(path, screen, { screenReader, onLeave }) {
    this.path = path;
    this.key = `terminal ${path}`;
    this.failures = 0;
    this.waiting = "";
    this.terminal = new Terminal({
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      fontSize: 14,
      scrollback: 5000,
      screenReaderMode: screenReader,
      theme: dark.matches ? DARK : LIGHT,
      minimumContrastRatio: 4.5,
    });
    this.fit = new FitAddon();
    this.terminal.loadAddon(this.fit);
    this.terminal.open(screen);
    this.terminal.attachCustomKeyEventHandler((event) => {
      if (event.key !== "F6") {
        return true;
      }
      if (event.type === "keydown") {
        event.preventDefault();
        onLeave();
      }
      return false;
    });
    this.terminal.onData((data) => this.type(encoder.encode(data)));
    this.terminal.onBinary((data) => this.type(Uint8Array.from(data, (char) => char.charCodeAt(0))));
    this.terminal.onResize(({ cols, rows }) => this.say({ type: "resize", cols, rows }));
    this.themes = () => { this.terminal.options.theme = dark.matches ? DARK : LIGHT; };
    dark.addEventListener("change", this.themes);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(screen);
    this.resize();
    this.connect();
  }

  // A hidden panel has no size to fit.
  resize() {
    if (this.terminal.element.offsetParent !== null) {
      this.fit.fit();
    }
  }

  connect() {
    clearTimeout(this.retry);
    const address = new URL(this.path, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const { cols, rows } = this.terminal;
    address.search = new URLSearchParams({ cols, rows, window: WINDOW_BYTES });
    const earlier = sessionStorage.getItem(this.key);
    if (earlier) {
      address.searchParams.set("terminal", earlier);
    }
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.hear(JSON.parse(data)) : this.show(data));
    socket.onclose = ({ code, reason }) => {
      if (this.socket === socket) {
        this.ended(code, reason);
      }
    };
  }

  hear(message) {
    if (message.type !== "terminal") {
      return;
    }
    sessionStorage.setItem(this.key, message.id);
    this.open = true;
    this.failures = 0;
    this.unreported = 0;
    this.replay = message.replay;
    if (message.resumed) {
      this.terminal.reset();
    }
    const { cols, rows } = this.terminal;
    this.say({ type: "resize", cols, rows });
    if (this.waiting) {
      this.socket.send(encoder.encode(this.waiting));
      this.waiting = "";
    }
  }

  show(data) {
    const { socket } = this;
    this.terminal.write(new Uint8Array(data), () => {
      this.replay -= data.byteLength;
      this.unreported += data.byteLength;
      if (this.unreported >= REPORT_BYTES && socket === this.socket) {
        this.say({ type: "shown", bytes: this.unreported });
        this.unreported = 0;
      }
    });
  }

  type(bytes) {
    if (this.open) {
      // What the screen answers to old output was answered long ago.
      if (!(this.replay > 0)) {
        this.socket.send(bytes);
      }
    } else if (this.asks && bytes.includes(13)) {
      this.asks = false;
      this.terminal.write("\r\n");
      this.connect();
    }
  }

  // Run a snippet: now, or as soon as there is a shell.
  run(text) {
    const typed = `${text.trim().replace(/\r?\n/g, "\r")}\r`;
    if (this.open) {
      this.socket.send(encoder.encode(typed));
    } else {
      this.waiting += typed;
    }
    this.terminal.focus();
  }

  say(message) {
    if (this.open && this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify(message));
    }
  }

  ended(code, reason) {
    this.open = false;
    if (LOST.has(code)) {
      const pause = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
      this.failures += 1;
      if (this.failures === 3) {
        this.note("The connection was lost. Trying again ...");
      }
      this.retry = setTimeout(() => this.connect(), pause);
      return;
    }
    if (code === 1000) {
      sessionStorage.removeItem(this.key);
    }
    this.asks = !NOT_NOW.has(code);
    this.note(this.asks ? `${reason} Press Enter to open it again.` : reason);
  }

  note(text) {
    this.terminal.write(`\r\n\x1b[2m${text}\x1b[0m\r\n`);
  }

  close() {
    clearTimeout(this.retry);
    dark.removeEventListener("change", this.themes);
    this.sizes.disconnect();
    const { socket } = this;
    this.socket = null;
    this.open = false;
    socket.close();
    this.terminal.dispose();
  }
}
