// The example page when tokens expire early, and when the server is away.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { cookies, generation, house, isSignedIn, launch, signIn, until } from "./support.mjs";

let browser, app, context, page;
before(async () => {
  [browser, app] = await Promise.all([launch(), house({ ACCESS_TOKEN__TTL: "2s" })]);
  await app.addUser("ada");
});
after(async () => { await browser?.close(); await app?.stop(); });
beforeEach(async () => {
  context = await browser.newContext();
  page = await context.newPage();
});
afterEach(() => context.close());

const rotations = async () =>
  generation((await cookies(context, app.origin))["__Host-relatch-rt"].value);

/** Has the page call an API through session.js, and gives what it said. */
const call = () => page.evaluate(async () => (await import("/session.js")).call("GET", "/auth/check"));

test("an access token near its end is refreshed before it is sent", async () => {
  await signIn(page, app.origin, "ada");
  const before = await rotations();
  await until("the token is old", () => page.evaluate(async () =>
    (await import("/session.js")).expires() < new Date(Date.now() + 200)));
  const refused = [];
  page.on("response", (answer) => { if (answer.status() === 401) refused.push(answer.url()); });
  assert.equal((await call()).user.username, "ada");
  assert.deepEqual(refused, []);
  assert.equal(await rotations(), before + 1);
});

test("an access token that the server finds expired is refreshed, and the call made again", async () => {
  await signIn(page, app.origin, "ada");
  await page.clock.setFixedTime(Date.now());
  assert.equal((await call()).user.username, "ada");
  const before = await rotations();
  const answers = [];
  page.on("response", (answer) => answers.push(`${answer.status()} ${new URL(answer.url()).pathname}`));
  // The page's clock stands still; the server's goes on.
  await until("the server refuses the token", async () => {
    await call();
    return answers.includes("401 /auth/check");
  });
  assert.deepEqual(answers.slice(-3), ["401 /auth/check", "200 /token/refresh", "200 /auth/check"]);
  assert.equal(await rotations(), before + 1);
});

test("an outage is waited out, and the session is not lost", async () => {
  await signIn(page, app.origin, "ada");
  const before = await context.cookies();
  await app.stopRelatch();
  await page.reload();
  await page.getByText("You are still signed in; asking again in 2 s.").waitFor();
  assert.deepEqual(await context.cookies(), before);
  await app.start();
  await isSignedIn(page, "ada");
});
