// What the page shows. All that has to do with tokens is in session.js.

import { Away, call, events, expires, refresh, remembers, signIn, signOut } from "./session.js";

const at = (id) => document.getElementById(id);
const main = document.querySelector("main");
const form = at("sign-in");

/** Why a session ended, in words for its user. */
const REASONS = {
  reuse: "Your session was ended: somebody else may have used a copy of its token.",
  revoked_by_admin: "Your session was ended by an administrator.",
  revoked_by_user: "This device was signed out from another one.",
  password_changed: "Your password was changed. Sign in again.",
  replaced: "You were signed out here, because you signed in on many other devices.",
};

function say(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

/** Runs something that a person asked for, and says what went wrong. */
async function doing(work) {
  const buttons = document.querySelectorAll("button");
  main.ariaBusy = "true";
  buttons.forEach((button) => { button.disabled = true; });
  try {
    await work();
  } catch (problem) {
    // The end of the session has its own event.
    if (problem.told) return;
    const still = problem instanceof Away && remembers() ? " You are still signed in; try again later." : "";
    say(problem.message + still, true);
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
    main.ariaBusy = "false";
  }
}

function showForm(why) {
  at("signed-in").hidden = true;
  form.hidden = false;
  say(why ?? "", Boolean(why));
  at("username").focus();
}

async function showSession() {
  const { user } = await call("GET", "/auth/check");
  const { items } = await call("GET", "/sessions");
  form.hidden = true;
  at("signed-in").hidden = false;
  at("who").textContent = `Signed in as ${user.username}`;
  showExpiry();
  at("devices").replaceChildren(...items.map(device));
}

function showExpiry() {
  at("until").dateTime = expires().toISOString();
  at("until").textContent = expires().toLocaleTimeString();
}

function device({ session_id: id, device_name: name, signed_in_at: since, last_seen_at: seen, current }) {
  const row = document.createElement("tr");
  // It is seen in steps of five minutes, so that the first step may lie before the sign-in.
  const last = current ? "now" : moment(seen < since ? since : seen);
  for (const text of [name ?? "Unnamed", moment(since), last]) row.insertCell().textContent = text;
  const cell = row.insertCell();
  if (current) {
    cell.textContent = "this one";
    return row;
  }
  const end = document.createElement("button");
  end.type = "button";
  end.textContent = "End";
  end.dataset.session = id;
  end.ariaLabel = `End the session on ${name ?? "the unnamed device"}`;
  end.onclick = () => doing(async () => {
    await call("DELETE", `/sessions/${id}`);
    await showSession();
    say("That device is signed out.");
  });
  cell.append(end);
  return row;
}

const moment = (time) =>
  new Date(time).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });

form.onsubmit = (event) => {
  event.preventDefault();
  doing(async () => {
    await signIn(at("username").value, at("password").value);
    form.reset();
    await showSession();
    say("");
    at("who").focus();
  });
};

at("refresh").onclick = () => doing(async () => {
  await refresh();
  showExpiry();
  say("The pair is a new one.");
});

at("sign-out").onclick = () => doing(signOut);

const resume = () => doing(async () => {
  await showSession();
  say("");
});
events.addEventListener("signed-in", resume);
events.addEventListener("signed-out", ({ detail: problem }) => {
  // Who has signed out knows why.
  const why = problem && problem.error !== "signed_out" ? REASONS[problem.reason] ?? problem.message : undefined;
  showForm(why);
});
events.addEventListener("waiting", ({ detail: away }) =>
  say(`${away.message} You are still signed in; asking again in ${away.seconds} s.`));

if (remembers()) {
  resume();
} else {
  main.ariaBusy = "false";
  showForm();
}
