require("node:fs").mkdirSync("dist", { recursive: true });
require("node:fs").writeFileSync(
  "dist/server.js",
  'require("node:http").createServer((_, r) => r.end("hello from node\\n")).listen(process.env.PORT || 3000)',
);
