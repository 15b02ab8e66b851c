// Node's own server: what it answers behind the gateway.
const http = require("node:http");
const zlib = require("node:zlib");

const server = http.createServer((request, response) => {
  const path = request.url.split("?")[0];
  if (path === "/reject") {
    response.writeHead(413);
    response.end("too large");
  } else if (path === "/relative") {
    response.writeHead(302, { Location: "/echo" });
    response.end();
  } else if (path === "/cookie") {
    response.writeHead(200, { "Set-Cookie": "seen=1; Path=/account" });
    response.end("set");
  } else if (path === "/away" || path === "/slash") {
    response.writeHead(302, { Location: `http://${request.headers.host}${path === "/slash" ? "/slash/" : "/echo"}` });
    response.end();
  } else if (path === "/text") {
    response.writeHead(200, { "Content-Encoding": "gzip", "Content-Type": "text/plain" });
    response.end(zlib.gzipSync("a line of text\n".repeat(200)));
  } else {
    let bytes = 0;
    request.on("data", (chunk) => (bytes += chunk.length)).on("end", () => {
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ path, bytes, client: request.socket.remoteAddress, headers: request.headers }));
    });
  }
});
server.listen(Number(process.argv[2]), "127.0.0.1");
