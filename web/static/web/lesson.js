// One lesson: starts it, follows it by events, and shows what it is doing.

import { Follower, call, callWithSession } from "./api.js";
import { Objectives } from "./objectives.js";
import { Tabs } from "./tabs.js";

const SHORT_MINUTES = 10;
const element = (id) => document.getElementById(id);
const main = element("main");
const slug = main.dataset.lesson;
const stageButtons = [...document.querySelectorAll("[data-stage]")];
const tabs = new Tabs(element("tabs"), element("panels"));
const objectives = new Objectives(element("objectives"), (wanted) =>
  act(() => call("POST", `/livelessons/${live.id}/objectives/${wanted}/check`)));

let hasSession = "session" in main.dataset;
let live = null;
let follower = null;
let shownGuide = "";
let shownStage = null;

const PREPARING = {
  INITIALIZED: ["Your lesson is queued", "Its machines start in a moment."],
  BOOTING: ["Starting your machines", ""],
  CONFIGURATION: ["Preparing your machines", "They are made ready for this stage."],
};
const END_REASONS = {
  learner: "You ended it.",
  operator: "An operator ended it.",
  expired: "Its time was up, or it had not been used for long.",
  failed: "It could not be kept running.",
  orphaned: "The place where it ran is no longer in use.",
  vanished: "Its machines disappeared.",
};
const GONE = {
  401: "This browser's session has ended.",
  404: "It ended a while ago.",
};

async function start() {
  show("One moment", "Asking for your machines.", { busy: true });
  try {
    const answer = await callWithSession(hasSession, "POST", "/livelessons", { lesson: slug });
    hasSession = true;
    watch(answer.id);
  } catch (error) {
    show("The lesson did not start", error.message, { failed: true });
  }
}

function watch(id) {
  follower?.close();
  follower = new Follower(id, {
    onChange: (seen) => {
      live = seen;
      update();
    },
    onLost: () => tellOfConnection("The connection to Syringe was lost. Trying again …"),
    onFound: () => tellOfConnection(""),
    onGone: (status) => {
      tellOfConnection("");
      if (live) {
        live = { ...live, desired: "gone", state: "DELETED" };
        update();
      }
      show("The lesson has ended", GONE[status], { again: true });
    },
  });
}

function update() {
  const running = !["FAILED", "DELETING", "DELETED"].includes(live.state) && live.desired === "running";
  const ready = running && live.state === "READY" && !live.running_action;
  for (const button of stageButtons) {
    const here = Number(button.dataset.stage) === live.stage;
    const gated = running && isGated(Number(button.dataset.stage));
    button.toggleAttribute("disabled", !ready || here || gated);
    describeGate(button, gated);
    if (here) {
      button.setAttribute("aria-current", "step");
    } else {
      button.removeAttribute("aria-current");
    }
  }
  element("previous")?.toggleAttribute("disabled", !ready || live.stage === 0);
  element("next")?.toggleAttribute("disabled", !ready || live.stage + 1 >= live.stages || isGated(live.stage + 1));
  showGate(running);
  objectives.update(`${live.id} ${live.stage}`, running ? live.objectives : null);
  element("end").hidden = !running;
  element("extend").hidden = !running;
  showTimeLeft();
  if (running) {
    loadGuide();
  }
  if (live.state === "READY" && running) {
    element("machines").hidden = false;
    tabs.update(live);
    if (!element("progress").hidden) {
      element("progress").hidden = true;
      announce("Your machines are ready.");
    }
  } else if (running) {
    showPreparing();
  } else {
    showEnd();
  }
}

function isGated(stage) {
  return stage >= live.open_stages && stage !== live.stage;
}

function describeGate(button, gated) {
  button.classList.toggle("gated", gated);
  if (gated) {
    button.setAttribute("aria-describedby", "gate");
    button.title = gateReason();
  } else {
    button.removeAttribute("aria-describedby");
    button.removeAttribute("title");
  }
}

function gateReason() {
  return `Stage ${live.open_stages + 1} opens when every objective of stage ${live.open_stages} is reached.`;
}

function showGate(running) {
  const gated = running && live.open_stages < live.stages;
  const place = element("gate");
  if (!place) {
    return;
  }
  place.hidden = !gated;
  place.textContent = gated ? gateReason() : "";
  if (element("next") && running) {
    describeGate(element("next"), live.stage + 1 < live.stages && isGated(live.stage + 1));
  }
}

function showPreparing() {
  const [title, detail] = PREPARING[live.state];
  const counted = live.state === "BOOTING" && live.total_tests
    ? `${live.healthy_tests} of ${live.total_tests} connections answer.` : detail;
  const retried = live.attempt > 1 && live.state !== "CONFIGURATION" ? `Attempt ${live.attempt}. ` : "";
  show(title, `${retried}${live.reason?.text || counted}`, { busy: true });
  const meter = element("meter");
  if (live.state === "BOOTING" && live.total_tests && live.healthy_tests) {
    meter.max = live.total_tests;
    meter.value = live.healthy_tests;
  } else {
    meter.removeAttribute("value");
  }
}

function showEnd() {
  tabs.clear();
  announce("");
  element("machines").hidden = true;
  if (live.state === "FAILED" || live.end_reason === "failed") {
    show("The lesson could not be started", live.reason?.text || "Its machines did not come up.", { failed: true });
  } else if (live.state === "DELETED") {
    show("The lesson has ended", END_REASONS[live.end_reason] || "", { again: true });
  } else {
    show("Tidying up", "Your machines are being removed.", { busy: true });
  }
}

function show(title, detail, { busy = false, failed = false, again = false } = {}) {
  const progress = element("progress");
  if (progress.hidden) {
    progress.hidden = false;
    announce("");
  }
  progress.classList.toggle("alone", element("machines").hidden);
  progress.classList.toggle("failed", failed);
  // Unchanged text is not read out again.
  for (const [id, text] of [["state", title], ["detail", detail]]) {
    if (element(id).textContent !== text) {
      element(id).textContent = text;
    }
  }
  element("meter").hidden = !busy;
  element("ways-out").hidden = !(failed || again);
  element("again").textContent = again ? "Start it again" : "Try again";
}

async function loadGuide() {
  // A notebook is a page of the environment: it comes when that is ready, and anew with another.
  const notebook = live.guide.type === "markdown" ? "" : `&attempt=${live.attempt}&ready=${live.state === "READY"}`;
  const wanted = `${live.id}?stage=${live.stage}${notebook}`;
  if (wanted === shownGuide) {
    return;
  }
  const first = shownGuide === "";
  shownGuide = wanted;
  const response = await fetch(`/learn/guides/${wanted}`).catch(() => null);
  if (wanted !== shownGuide) {
    return;
  }
  if (!response?.ok) {
    shownGuide = first ? "" : "failed";
    announce("The guide could not be loaded; reload the page to try again.");
    return;
  }
  const guide = element("guide");
  guide.innerHTML = await response.text();
  if (shownStage !== null && shownStage !== live.stage) {
    guide.parentElement.scrollTop = 0;
    guide.focus();
  }
  shownStage = live.stage;
}

function showTimeLeft() {
  const place = element("time-left");
  if (!live || live.ended_at || live.desired !== "running") {
    place.hidden = true;
    return;
  }
  const minutes = Math.max(0, Math.round((Date.parse(live.expires_at) - Date.now()) / 60000));
  const text = minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min left` : `${minutes} min left`;
  place.hidden = false;
  place.textContent = text;
  place.classList.toggle("short", minutes < SHORT_MINUTES);
}

function tellOfConnection(text) {
  element("connection").textContent = text;
}

function announce(text) {
  element("announcement").textContent = text;
}

async function act(doing) {
  announce("");
  try {
    await doing();
  } catch (error) {
    announce(error.message);
  }
}

function changeStage(stage) {
  return act(() => call("POST", `/livelessons/${live.id}/stage`, { stage }));
}

function snippetBefore(button) {
  for (let before = button; before && before !== element("guide"); before = before.parentElement) {
    for (let other = before.previousElementSibling; other; other = other.previousElementSibling) {
      const code = other.matches("pre") ? other : other.querySelector("pre");
      if (code) {
        return code.textContent;
      }
    }
  }
  return "";
}

element("guide").addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (!button) {
    return;
  }
  const { runIn, switchTo } = button.dataset;
  if (runIn && !tabs.run(runIn, snippetBefore(button))) {
    announce(tabs.tabs.length ? `This lesson has no terminal named ${runIn}.` : "The machines are not ready yet.");
  } else if (switchTo && tabs.find(switchTo)) {
    tabs.select(tabs.find(switchTo));
  }
});
for (const button of stageButtons) {
  button.addEventListener("click", () => changeStage(Number(button.dataset.stage)));
}
element("previous")?.addEventListener("click", () => changeStage(live.stage - 1));
element("next")?.addEventListener("click", () => changeStage(live.stage + 1));
element("extend").addEventListener("click", () => act(async () => {
  await call("POST", `/livelessons/${live.id}/extend`);
  announce("You have more time.");
}));
element("end").addEventListener("click", () => element("confirm-end").showModal());
element("confirm-end").addEventListener("close", ({ target }) => {
  if (target.returnValue === "yes") {
    act(() => call("DELETE", `/livelessons/${live.id}`));
  }
  target.returnValue = "";
});
element("again").addEventListener("click", () => {
  shownGuide = "";
  shownStage = null;
  start();
});
element("screen-reader").checked = localStorage.getItem("screen reader") === "on";
tabs.setScreenReader(element("screen-reader").checked);
element("screen-reader").addEventListener("change", ({ target }) => {
  localStorage.setItem("screen reader", target.checked ? "on" : "off");
  tabs.setScreenReader(target.checked);
});
setInterval(showTimeLeft, 15000);
start();
