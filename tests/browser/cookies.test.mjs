// Delivery "cookie": a page of the same origin that holds no token at all.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { DEVICE, PASSWORD, cookies, emptyPages, generation, house, launch, names } from "./support.mjs";

const [ACCESS, REFRESH] = ["__Host-relatch-at", "__Host-relatch-rt"];

let browser, app, pages, context, page;
before(async () => {
  pages = await emptyPages();
  [browser, app] = await Promise.all([launch(), house()]);
  await app.addUser("ada");
});
after(async () => { await browser?.close(); await app?.stop(); await pages?.stop(); });
beforeEach(async () => {
  context = await browser.newContext();
  page = await context.newPage();
  await page.goto(app.origin);
  const answer = await call("POST", "/login", { username: "ada", password: PASSWORD, delivery: "cookie" });
  assert.equal(answer.status, 200);
  assert.deepEqual(Object.keys(answer.body).filter((key) => key.endsWith("_token")), []);
});
afterEach(() => context.close());

/** What the page gets from its own origin, without a token of its own. */
const call = (method, path, body) => page.evaluate(async ([method, path, body]) => {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : undefined };
}, [method, path, body]);

test("a sign-in sets both tokens as cookies that no script sees", async () => {
  const set = await cookies(context, app.origin);
  const seen = ({ httpOnly, secure, sameSite, path, domain }) => ({ httpOnly, secure, sameSite, path, domain });
  const strict = { httpOnly: true, secure: true, sameSite: "Strict", path: "/", domain: "app.one.localhost" };
  assert.deepEqual(Object.keys(set).sort(), [ACCESS, DEVICE, REFRESH]);
  assert.deepEqual(seen(set[DEVICE]), strict);
  assert.deepEqual(seen(set[REFRESH]), strict);
  assert.deepEqual(seen(set[ACCESS]), { ...strict, sameSite: "Lax" });
  assert.equal(await page.evaluate(() => document.cookie), "");
});

test("the page is signed in, stays so after a reload, refreshes, and signs out", async () => {
  assert.equal((await call("GET", "/auth/check")).body.user.username, "ada");
  await page.reload();
  assert.equal((await call("GET", "/auth/check")).body.user.username, "ada");
  const before = await cookies(context, app.origin);
  assert.equal((await call("POST", "/token/refresh")).status, 200);
  const now = await cookies(context, app.origin);
  assert.notEqual(now[ACCESS].value, before[ACCESS].value);
  assert.deepEqual([before, now].map((jar) => generation(jar[REFRESH].value)), [0, 1]);
  assert.equal((await call("POST", "/logout")).status, 204);
  assert.deepEqual(await names(context), [DEVICE]);
  const after = await call("GET", "/auth/check");
  assert.deepEqual([after.status, after.body.error], [401, "authentication_required"]);
});

test("a link from another site finds its reader signed in", async () => {
  await page.goto(pages.at("evil.two"));
  await page.evaluate((origin) => {
    document.body.innerHTML = `<a href="${origin}/auth/check">a link</a>`;
  }, app.origin);
  const answered = page.waitForResponse(`${app.origin}/auth/check`);
  await page.getByRole("link").click();
  const answer = await answered;
  assert.equal(answer.status(), 200);
  const sent = (await answer.request().allHeaders()).cookie;
  assert.deepEqual(sent.split("; ").map((cookie) => cookie.split("=")[0]), [ACCESS], "the refresh cookie stays away");
});
