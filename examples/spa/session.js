// Keeps a page signed in to Relatch, with delivery "hybrid". To be copied and changed.
//
// The access token lives in this module and nowhere else. The refresh token, and a copy of the access token that only
// /token/refresh reads, are HttpOnly cookies: no script ever sees them. What is kept in localStorage is no secret worth
// stealing by itself: which session there is, and the attempt key of its next refresh.
//
// The attempt key is made when the pair that it will refresh arrives, and is replaced only when the next pair is there.
// So a refresh whose answer was lost is sent again with the same key, by this tab, another one or the next page load,
// and Relatch hands out the same successor again.

const STORED = "relatch.session";
const LOCK = "relatch.refresh";

/** `{ token, session, expires, renew }`, the times in milliseconds, or null. */
let access = null;
/** The refresh that is under way in this tab. */
let refreshing = null;

/** What says that a session is over, for good. */
const OVER = new Set(["session_revoked", "session_expired", "refresh_token_reused", "invalid_refresh_token",
  "user_disabled", "signed_out"]);

/** Tells "signed-in" (in another tab), "signed-out" (detail: the problem that said so, if any) and "waiting" (detail: an
 *  `Away`). */
export const events = new EventTarget();
const tell = (name, detail) => events.dispatchEvent(new CustomEvent(name, { detail }));

/** An answer that is no success, as RFC 9457 puts it: `error` is the stable code. */
export class Problem extends Error {
  constructor(status, { error = "unknown", detail = "The server did not answer as expected.", reason } = {}) {
    super(detail);
    Object.assign(this, { status, error, reason });
  }
}

/** The server cannot answer now, and has decided nothing: ask again after so many seconds. */
export class Away extends Error {
  constructor(seconds, detail = "The server cannot be reached.") {
    super(detail);
    this.seconds = seconds;
  }
}

/** Signs in. Throws a `Problem`, such as invalid_credentials. */
export function signIn(username, password) {
  const body = { username, password, delivery: "hybrid", device_name: deviceName() };
  return locked(async () => {
    const { user, ...pair } = await send("POST", "/login", { body });
    take(pair);
    return user;
  });
}

/** Whether this browser has signed in. The server has the last word. */
export const remembers = () => read() !== null;

/** Signs this session out. Throws `Away` if that could not be made to last; then it is still signed in. */
export function signOut() {
  return locked(async () => {
    await send("POST", "/logout").catch((problem) => {
      // Without cookies there is nothing left to sign out.
      if (problem.status !== 400 && problem.status !== 401) throw problem;
    });
    forget();
  });
}

/** Calls an API with the access token, refreshing it before or after as needed. Gives what the JSON says. */
export async function call(method, path, body) {
  const token = access && Date.now() < access.renew ? access.token : await refresh();
  try {
    return await send(method, path, { token, body });
  } catch (problem) {
    if (problem.error === "token_expired") return send(method, path, { token: await refresh(), body });
    // Unless another tab has signed in anew meanwhile.
    if (OVER.has(problem.error) && access?.token === token) forget(problem);
    throw problem;
  }
}

/** When the access token expires. */
export const expires = () => access && new Date(access.expires);

/** Gets a fresh access token. While the server is away this waits, for as long as it takes: the session is not lost. */
export function refresh() {
  refreshing ??= patiently().finally(() => { refreshing = null; });
  return refreshing;
}

async function patiently() {
  for (;;) {
    try {
      return await locked(rotate);
    } catch (problem) {
      if (!(problem instanceof Away)) throw problem;
      tell("waiting", problem);
      await new Promise((done) => setTimeout(done, problem.seconds * 1000));
    }
  }
}

/** One refresh. Under the lock: the tabs share cookies and attempt key. */
async function rotate() {
  for (let tries = 0; tries < 3; tries += 1) {
    const stored = read();
    if (!stored) throw forget();
    try {
      take(await send("POST", "/token/refresh", { attempt: stored.attempt }));
      return access.token;
    } catch (problem) {
      // Somebody with our cookies was quicker (a browser without locks between its windows). The cookies are new.
      if (problem.error === "refresh_superseded") continue;
      // The cookies are newer than the key: the page was closed between the two, or another tab's key is still on its way
      // (localStorage reaches other processes a moment late). Nothing was consumed.
      if (problem.error === "attempt_key_reused") { write(stored.session); continue; }
      // 400: the cookies are gone, with the browser's data or at their end.
      throw problem.status === 401 || problem.status === 400 ? forget(problem) : problem;
    }
  }
  throw new Away(2);
}

/** One tab at a time. */
const locked = (work) => navigator.locks.request(LOCK, work);

function take({ access_token: token, expires_in: seconds, session_id: session }) {
  // In the last tenth of its life it is not sent any more: it might expire on its way.
  access = { token, session, expires: Date.now() + seconds * 1000, renew: Date.now() + seconds * 900 };
  write(session);
}

/** The session is over. Gives the problem that said so, for the caller to throw. */
function forget(problem = new Problem(401, { error: "signed_out", detail: "Nobody is signed in." })) {
  problem.told = true;
  access = null;
  localStorage.removeItem(STORED);
  tell("signed-out", problem);
  return problem;
}

/** Writes the session down, with a fresh attempt key. */
const write = (session) =>
  localStorage.setItem(STORED, JSON.stringify({ session, attempt: crypto.randomUUID() }));

const read = () => JSON.parse(localStorage.getItem(STORED));

// Another tab has signed out, or in.
addEventListener("storage", ({ key, oldValue, newValue }) => {
  const [before, now] = [oldValue, newValue].map((text) => JSON.parse(text)?.session);
  if (key !== STORED || before === now) return;
  access = null;
  tell(now ? "signed-in" : "signed-out");
});

async function send(method, path, { token, attempt, body } = {}) {
  const headers = {};
  if (token) headers["Authorization"] = `Bearer ${token}`;
  if (attempt) headers["Idempotency-Key"] = attempt;
  if (body) headers["Content-Type"] = "application/json";
  let answer, content;
  try {
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
    content = await answer.text();
  } catch {
    throw new Away(2);
  }
  const json = content && answer.headers.get("Content-Type")?.includes("json") ? JSON.parse(content) : undefined;
  if ([429, 502, 503, 504].includes(answer.status)) {
    throw new Away(Number(answer.headers.get("Retry-After")) || 2, json?.detail);
  }
  if (!answer.ok) throw new Problem(answer.status, json);
  return json;
}

function deviceName() {
  const { brands = [], platform = "" } = navigator.userAgentData ?? {};
  const names = brands.map(({ brand }) => brand).filter((name) => !/not.?a.?brand/i.test(name));
  const name = names.find((name) => name !== "Chromium") ?? names[0] ?? "Browser";
  return [name, platform].filter(Boolean).join(" on ");
}
