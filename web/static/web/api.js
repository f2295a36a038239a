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

// Follow a livelesson until it is DELETED; the browser reconnects by itself.
export function follow(id, onChange) {
  const events = new EventSource(`/api/v1/livelessons/${id}/events`);
  events.addEventListener("livelesson", (event) => {
    const live = JSON.parse(event.data);
    if (live.state === "DELETED") {
      events.close();
    }
    onChange(live);
  });
  return events;
}
