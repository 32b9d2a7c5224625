// Pages of other sites, and of other hosts of the same site, against somebody who is signed in.
//
// "localhost" is a public suffix: one.localhost and two.localhost are different sites, and all of *.one.localhost is one.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import {
  DEVICE, PASSWORD, cookies, emptyPages, generation, house, isSignedIn, launch, names, signIn,
} from "./support.mjs";

const ATTACKED = ["/token/refresh", "/logout", "/login"];
const MALLORY = { username: "mallory", password: PASSWORD };

let browser, app, pages, context, victim;
before(async () => {
  pages = await emptyPages();
  [browser, app] = await Promise.all([launch(), house({ HTTP__ALLOWED_ORIGINS: pages.at("listed.one") })]);
  await app.addUser("ada");
  await app.addUser("mallory");
});
after(async () => { await browser?.close(); await app?.stop(); await pages?.stop(); });
beforeEach(async () => {
  context = await browser.newContext();
  victim = await context.newPage();
  await signIn(victim, app.origin, "ada");
});
afterEach(() => context.close());

/** Everything that a page can try without being asked: by `fetch`, with every mode and content type, and by forms. */
const ATTACKS = [
  ...["/token/refresh", "/logout"].flatMap((path) => [
    { path, mode: "no-cors" },
    { path, mode: "cors" },
    { path, mode: "cors", type: "application/json", body: "{}" },
  ]),
  ...["hybrid", "cookie"].flatMap((delivery) => {
    const body = JSON.stringify({ ...MALLORY, delivery });
    return [
      { path: "/login", mode: "no-cors", type: "text/plain", body },
      { path: "/login", mode: "cors", type: "text/plain", body },
      { path: "/login", mode: "cors", type: "application/json", body },
    ];
  }),
];

const tryFetch = (page, { path, mode, type, body }) => page.evaluate(async ([url, mode, type, body]) => {
  const headers = type ? { "Content-Type": type } : {};
  try {
    const answer = await fetch(url, { method: "POST", credentials: "include", mode, headers, body });
    return { type: answer.type, status: answer.status, text: await answer.text() };
  } catch {
    return "refused";
  }
}, [app.origin + path, mode, type, body]);

/** Sends a form that navigates a page of its own. */
async function tryForm(from, path, fields, enctype) {
  const page = await context.newPage();
  await page.goto(from);
  const answered = page.waitForResponse((answer) => answer.url() === app.origin + path);
  await page.evaluate(([action, fields, enctype]) => {
    const form = Object.assign(document.createElement("form"), { method: "post", action, enctype });
    for (const [name, value] of fields) {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    document.body.append(form);
    form.submit();
  }, [app.origin + path, Object.entries(fields), enctype]);
  const status = (await answered).status();
  await page.waitForURL(app.origin + path);
  await page.close();
  return status;
}

/** Runs the attacks from this page's origin, and shows that none had any effect. */
async function attacked(from) {
  const before = await context.cookies();
  const seen = app.log().length;
  const page = await context.newPage();
  await page.goto(from);
  for (const attack of ATTACKS) {
    const got = await tryFetch(page, attack);
    // By CORS, or in the mode without it by Cross-Origin-Resource-Policy, the answer is withheld from the page.
    assert.equal(got, "refused", `${JSON.stringify(attack)} from ${from}`);
  }
  await page.close();
  for (const path of ATTACKED) {
    for (const enctype of ["application/x-www-form-urlencoded", "text/plain"]) {
      // A form of plain text can be made to look like JSON: `{"username":…,"x":"` = `"}`.
      const json = JSON.stringify({ ...MALLORY, delivery: "cookie" });
      const fields = enctype === "text/plain" ? { [`${json.slice(0, -1)},"x":"`]: "\"}" } : MALLORY;
      const status = await tryForm(from, path, path === "/login" ? fields : {}, enctype);
      assert.ok(status >= 400 && status < 500, `${path} ${status}`);
    }
  }

  assert.deepEqual(await context.cookies(), before, "no cookie was set or cleared");
  const lines = app.log().slice(seen);
  const events = lines.map((line) => line.event).filter((event) => event !== "request");
  assert.deepEqual(events, [], "the server did nothing");
  const posts = lines.filter((line) => line.event === "request" && line.method === "POST");
  assert.ok(posts.length >= 10, `${posts.length} requests came through`);

  // The session is alive, and its next refresh is the next generation.
  const token = (jar) => jar.find((cookie) => cookie.name === "__Host-relatch-rt").value;
  await victim.getByRole("button", { name: "Refresh now" }).click();
  await victim.getByText("The pair is a new one.").waitFor();
  assert.equal(generation(token(await context.cookies())), generation(token(before)) + 1);
  await victim.reload();
  await isSignedIn(victim, "ada");
  return posts;
}

test("a page of another site can do nothing", async () => {
  const posts = await attacked(pages.at("evil.two"));
  for (const { route, status } of posts) assert.ok([400, 401, 403, 415].includes(status), `${route} ${status}`);
});

test("a sibling that is not listed is refused, although its requests carry the cookies", async () => {
  const posts = await attacked(pages.at("other.one"));
  const statuses = new Set(posts.filter(({ route }) => route !== "/login").map(({ status }) => status));
  assert.deepEqual([...statuses], [403]);
});

test("a sibling that is listed passes", async () => {
  const page = await context.newPage();
  await page.goto(pages.at("listed.one"));
  const before = await cookies(context, app.origin);
  const refreshed = await tryFetch(page, { path: "/token/refresh", mode: "cors" });
  assert.equal(refreshed.status, 200, JSON.stringify(refreshed));
  const now = await cookies(context, app.origin);
  const generations = [before, now].map((jar) => generation(jar["__Host-relatch-rt"].value));
  assert.equal(generations[1], generations[0] + 1);
  const body = JSON.stringify({ ...MALLORY, delivery: "hybrid" });
  const login = await tryFetch(page, { path: "/login", mode: "cors", type: "application/json", body });
  assert.equal(login.status, 200);
  const out = await tryFetch(page, { path: "/logout", mode: "cors" });
  assert.equal(out.status, 204);
  assert.deepEqual(await names(context, app.origin), [DEVICE]);
});
