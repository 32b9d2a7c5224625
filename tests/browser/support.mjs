// A real Relatch, the example page before it, and a real Chromium. All on this machine, all ended with the test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const RELATCH = process.env.RELATCH_BINARY ?? join(ROOT, "target/debug/relatch");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const PATIENCE = 20_000;

export const PASSWORD = "correct horse battery staple";

/** Waits until `look` gives something. */
export async function until(what, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await pause(10);
  }
}

export async function launch() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

async function freePort() {
  const server = createServer().listen(0, "localhost");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Starts a process of ours; `stop` ends it and waits for its end. */
function run(command, args, env) {
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const said = { out: "", log: "" };
  child.stdout.on("data", (data) => { said.out += data; });
  child.stderr.on("data", (data) => { said.log += data; });
  const ended = once(child, "exit");
  const alive = (what) => {
    if (child.exitCode !== null) throw new Error(`${what} has ended: ${said.out}${said.log}`);
  };
  return { said, alive, stop: async () => { child.kill("SIGTERM"); await ended; } };
}

/** Relatch and the page, at `http://app.one.localhost`. `settings` are variables without their prefix. */
export async function house(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), "relatch-browser-"));
  const [pagePort, apiPort] = [await freePort(), await freePort()];
  const origin = `http://app.one.localhost:${pagePort}`;
  const api = `http://127.0.0.1:${apiPort}`;
  const env = { PATH: process.env.PATH };
  const given = {
    ISSUER: origin,
    HTTP__LISTEN: `127.0.0.1:${apiPort}`,
    OPS__LISTEN: "127.0.0.1:0",
    STORE__URL: `redb:${join(folder, "relatch.redb")}`,
    PASSWORD__BCRYPT_COST: "4",
    BOOTSTRAP__ADMIN_PASSWORD: PASSWORD,
    LOG__FORMAT: "json",
    ...settings,
  };
  const variables = Object.fromEntries(Object.entries(given).map(([key, value]) => [`RELATCH__${key}`, value]));
  let relatch;
  const start = async () => {
    relatch = run(RELATCH, ["serve"], { ...env, ...variables });
    await until("Relatch is ready", async () => {
      relatch.alive("relatch");
      return (await fetch(`${api}/health/ready`).catch(() => null))?.ok;
    });
  };
  await start();
  const web = run(process.execPath,
    [join(ROOT, "examples/spa/serve.mjs"), "--port", `${pagePort}`, "--api", api], env);
  await until("the page is served", () => { web.alive("serve.mjs"); return web.said.out.includes("http://"); });

  return {
    origin,
    api,
    start,
    stopRelatch: () => relatch.stop(),
    /** What the server has logged, one object a line. */
    log: () => relatch.said.log.trim().split("\n").map((line) => JSON.parse(line)),
    async addUser(username) {
      const login = await json(`${api}/login`, { username: "admin", password: PASSWORD });
      await json(`${api}/admin/users`, { username, password: PASSWORD, roles: ["user"] }, login.access_token);
    },
    async stop() {
      await web.stop();
      await relatch.stop();
      await rm(folder, { recursive: true });
    },
  };
}

async function json(url, body, token) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Serves an empty page under every name that ends in localhost. */
export async function emptyPages() {
  const server = createServer((_, answer) => {
    answer.writeHead(200, { "Content-Type": "text/html" });
    answer.end("<!doctype html><title>empty</title>");
  });
  server.listen(0, "localhost");
  await once(server, "listening");
  const { port } = server.address();
  return {
    at: (name) => `http://${name}.localhost:${port}`,
    stop: async () => { server.closeAllConnections(); server.close(); await once(server, "close"); },
  };
}

/** Signs in through the example page. */
export async function signIn(page, origin, username) {
  await page.goto(origin);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await isSignedIn(page, username);
}

export const isSignedIn = (page, username) =>
  page.getByRole("heading", { name: `Signed in as ${username}` }).waitFor({ timeout: PATIENCE });

export const isSignedOut = (page) =>
  page.getByRole("heading", { name: "Sign in", exact: true }).waitFor({ timeout: PATIENCE });

/** The cookies that the browser would send there, by name. */
export async function cookies(context, url) {
  return Object.fromEntries((await context.cookies(url)).map((cookie) => [cookie.name, cookie]));
}

/** The cookie by which the browser is known; it stays when its user signs out. */
export const DEVICE = "__Host-relatch-device";

/** The names of the cookies that the browser keeps, for that place or for all. */
export const names = async (context, url) => (await context.cookies(url)).map((cookie) => cookie.name);

/** The generation that a refresh token was issued for: big-endian, at offset 33. */
export const generation = (token) => Buffer.from(token.slice("rlt1_".length), "base64url").readUInt32BE(33);

