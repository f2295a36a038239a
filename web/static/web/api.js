// Calls of /api/v1 with the browser's session cookie.

export class Refused extends Error {
  constructor(status, body) {
    super(body.detail || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code || "";
  }
}

export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      // With a cookie, the API takes changes only in this form.
      headers: method === "GET" ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, { detail: "Syringe cannot be reached. Is your network up?", code: "offline" });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Refused(response.status, answer);
  }
  return answer;
}

// Call, and open a session first when this browser has none, or one that is gone.
export async function callWithSession(hasSession, method, path, body) {
  if (hasSession) {
    try {
      return await call(method, path, body);
    } catch (error) {
      if (error.status !== 401) {
        throw error;
      }
    }
  }
  await call("POST", "/sessions", {});
  return call(method, path, body);
}

const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const GONE = new Set([401, 404]);

// Follow a livelesson until it is DELETED, over any number of connections.
export class Follower {
  // onGone(status) says that there will be nothing more to hear.
  constructor(id, { onChange, onLost, onFound, onGone }) {
    Object.assign(this, { id, onChange, onLost, onFound, onGone, failures: 0, closed: false });
    this.connect();
  }

  connect() {
    this.events = new EventSource(`/api/v1/livelessons/${this.id}/events`);
    this.events.onopen = () => {
      this.failures = 0;
      this.onFound();
    };
    this.events.addEventListener("livelesson", ({ data }) => {
      const live = JSON.parse(data);
      if (live.state === "DELETED") {
        this.close();
      }
      this.onChange(live);
    });
    this.events.onerror = () => this.lost();
  }

  // Browsers end a stream for good that is answered with an error, and come back all at once after
  // anything else.
  lost() {
    const refused = this.events.readyState === EventSource.CLOSED;
    this.events.close();
    const pause = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
    this.failures += 1;
    // A gateway that starts anew is back before anybody has read that it was away.
    if (refused || this.failures > 1) {
      this.onLost();
    }
    this.retry = setTimeout(() => this.reconnect(refused), pause * (0.5 + Math.random()));
  }

  async reconnect(refused) {
    if (refused) {
      // A stream does not tell why it was refused.
      const { status } = await call("GET", `/livelessons/${this.id}`).catch((error) => error);
      if (this.closed) {
        return;
      }
      if (GONE.has(status)) {
        this.onGone(status);
        return;
      }
    }
    this.connect();
  }

  close() {
    this.closed = true;
    clearTimeout(this.retry);
    this.events.close();
  }
}
