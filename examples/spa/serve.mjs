#!/usr/bin/env node
// Serves the page, and passes everything else on to Relatch: cookies named __Host- reach one host only, so page and
// server share an origin. In production a proxy does this, and speaks TLS.

import { createReadStream } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { parseArgs } from "node:util";

const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/page.js": ["page.js", "text/javascript; charset=utf-8"],
  "/session.js": ["session.js", "text/javascript; charset=utf-8"],
  "/style.css": ["style.css", "text/css; charset=utf-8"],
};
/** What belongs to one connection and is not passed on (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "3000" },
    host: { type: "string", default: "localhost" },
    api: { type: "string", default: "http://localhost:8080" },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  console.log("usage: serve.mjs [--port 3000] [--host localhost] [--api http://localhost:8080]");
  process.exit();
}
const api = new URL(values.api);
// A connection for each request: none can have gone stale.
const agent = new Agent({ keepAlive: false });

const server = createServer((incoming, outgoing) => {
  const file = FILES[incoming.url.split("?")[0]];
  if (file && (incoming.method === "GET" || incoming.method === "HEAD")) {
    outgoing.writeHead(200, {
      "Content-Type": file[1],
      "Cache-Control": "no-cache",
      "X-Content-Type-Options": "nosniff",
      // What a meta tag cannot say.
      "Content-Security-Policy": "frame-ancestors 'none'",
      "Referrer-Policy": "no-referrer",
    });
    createReadStream(new URL(file[0], import.meta.url)).pipe(outgoing);
  } else {
    try {
      pass(incoming, outgoing);
    } catch {
      // A path or header that Node does not send on.
      outgoing.writeHead(400).end();
    }
  }
});

function pass(incoming, outgoing) {
  const options = { agent, method: incoming.method, path: incoming.url, headers: without(incoming.headers) };
  const onward = request(api, options, (answer) => {
    outgoing.writeHead(answer.statusCode, without(answer.headers));
    answer.pipe(outgoing);
  });
  onward.on("error", () => {
    if (outgoing.headersSent) return outgoing.destroy();
    outgoing.writeHead(503, { "Content-Type": "application/problem+json", "Retry-After": "2" });
    outgoing.end('{"status":503,"error":"temporarily_unavailable","detail":"Relatch does not answer."}');
  });
  outgoing.on("close", () => onward.destroy());
  incoming.pipe(onward);
}

const without = (headers) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));

server.listen(Number(values.port), values.host, () => {
  console.log(`http://${values.host}:${server.address().port}/ with Relatch at ${api.origin}`);
});
