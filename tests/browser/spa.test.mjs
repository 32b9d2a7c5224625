// The example page in a browser: delivery "hybrid".

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, test } from "node:test";
import { DEVICE, cookies, generation, house, isSignedIn, isSignedOut, launch, names, signIn } from "./support.mjs";

const [PAIR, REFRESH] = ["__Host-relatch-pair", "__Host-relatch-rt"];

let browser, app, context, page;
before(async () => {
  [browser, app] = await Promise.all([launch(), house()]);
  await app.addUser("ada");
});
after(async () => { await browser?.close(); await app?.stop(); });
beforeEach(async () => {
  context = await browser.newContext();
  page = await context.newPage();
});
afterEach(() => context.close());

const refreshToken = async () => (await cookies(context, app.origin))[REFRESH].value;
const stored = () => page.evaluate(() => localStorage.getItem("relatch.session"));

/** Has the page refresh, and gives what the server said. */
async function refresh(page) {
  const [answer] = await Promise.all([
    page.waitForResponse((answer) => answer.url().endsWith("/token/refresh") && answer.ok()),
    page.getByRole("button", { name: "Refresh now" }).click(),
  ]);
  await page.getByText("The pair is a new one.").waitFor();
  return answer.json();
}

test("a sign-in sets cookies that no script and no other host sees", async () => {
  await signIn(page, app.origin, "ada");
  const set = await cookies(context, app.origin);
  assert.deepEqual(Object.keys(set).sort(), [DEVICE, PAIR, REFRESH]);
  for (const cookie of Object.values(set)) {
    const { name, httpOnly, secure, sameSite, path, domain } = cookie;
    assert.deepEqual({ httpOnly, secure, sameSite, path, domain },
      { httpOnly: true, secure: true, sameSite: "Strict", path: "/", domain: "app.one.localhost" }, name);
  }
  assert.equal(generation(set[REFRESH].value), 0);
  assert.equal(await page.evaluate(() => document.cookie), "");
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.doesNotMatch(kept, /eyJ|rlt1_/);
  assert.deepEqual(await context.cookies(app.origin.replace("app.", "other.")), []);
  assert.deepEqual(await context.cookies(app.origin.replace("app.", "")), []);
});

test("a wrong password is told, and nothing is set", async () => {
  await page.goto(app.origin);
  await page.getByLabel("User name").fill("ada");
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("User name or password is wrong.").waitFor();
  assert.deepEqual(await names(context), []);
});

test("a reload keeps the user signed in", async () => {
  await signIn(page, app.origin, "ada");
  for (const expected of [1, 2]) {
    await page.reload();
    await isSignedIn(page, "ada");
    assert.equal(generation(await refreshToken()), expected);
  }
});

test("a refresh gives a new pair", async () => {
  await signIn(page, app.origin, "ada");
  const one = await refresh(page);
  const two = await refresh(page);
  assert.notEqual(one.access_token, two.access_token);
  assert.equal(one.session_id, two.session_id);
  assert.equal(two.refresh_token, undefined, "it travels as a cookie only");
  assert.equal(generation(await refreshToken()), 2);
});

for (const locks of [true, false]) {
  test(`two tabs that refresh at once both stay signed in, ${locks ? "one after the other" : "without locks"}`, async () => {
    if (!locks) {
      await context.addInitScript(() => { LockManager.prototype.request = async (_, work) => work(); });
    }
    await signIn(page, app.origin, "ada");
    const other = await context.newPage();
    await other.goto(app.origin);
    await isSignedIn(other, "ada");
    for (let round = 0; round < 5; round += 1) {
      const answers = await Promise.all([refresh(page), refresh(other)]);
      assert.equal(answers[0].session_id, answers[1].session_id);
      // What each has in memory is good.
      for (const { access_token: token } of answers) {
        const check = await fetch(`${app.api}/auth/check?live=true`, { headers: { Authorization: `Bearer ${token}` } });
        assert.equal(check.status, 200);
      }
    }
    await Promise.all([page.reload(), other.reload()]);
    await Promise.all([isSignedIn(page, "ada"), isSignedIn(other, "ada")]);
    await other.close();
  });
}

test("a refresh whose answer was lost is sent again and gets the same successor", async () => {
  await signIn(page, app.origin, "ada");
  const [jar, key] = [await context.cookies(), await stored()];
  await refresh(page);
  const successor = await refreshToken();
  // As if the answer had never come.
  await context.addCookies(jar);
  await page.evaluate((key) => localStorage.setItem("relatch.session", key), key);
  await page.reload();
  await isSignedIn(page, "ada");
  assert.equal(await refreshToken(), successor);
});

test("a page that was closed between the cookies and the next attempt key goes on", async () => {
  await signIn(page, app.origin, "ada");
  const key = await stored();
  await refresh(page);
  await page.evaluate((key) => localStorage.setItem("relatch.session", key), key);
  await page.reload();
  await isSignedIn(page, "ada");
  assert.equal(generation(await refreshToken()), 2);
});

test("signing out clears the cookies, here and in other tabs, and the session is dead", async () => {
  await signIn(page, app.origin, "ada");
  const jar = await context.cookies();
  const other = await context.newPage();
  await other.goto(app.origin);
  await isSignedIn(other, "ada");
  await page.getByRole("button", { name: "Sign out" }).click();
  await Promise.all([isSignedOut(page), isSignedOut(other)]);
  assert.deepEqual(await names(context), [DEVICE]);
  // With the cookies back the server still says no.
  await context.addCookies(jar);
  const status = await page.evaluate(async () => (await fetch("/token/refresh", { method: "POST" })).status);
  assert.equal(status, 401);
});

test("another device's session is listed and can be ended, and that device is told why", async () => {
  await signIn(page, app.origin, "ada");
  const elsewhere = await browser.newContext();
  const device = await elsewhere.newPage();
  await signIn(device, app.origin, "ada");
  // The sessions of other tests are there as well; the last one to come is the other device's.
  await page.reload();
  await isSignedIn(page, "ada");
  const session = await device.evaluate(() => JSON.parse(localStorage.getItem("relatch.session")).session);
  await page.locator(`button[data-session="${session}"]`).click();
  await page.getByText("That device is signed out.").waitFor();
  await device.reload();
  await isSignedOut(device);
  await device.getByText("This device was signed out from another one.").waitFor();
  await isSignedIn(page, "ada");
  await elsewhere.close();
});
