// A handler in Node: its connection as a stream, a file, the pool of threads.
const fs = require("fs");
process.stdin.once("data", (data) => {
  fs.writeFileSync("/tmp/app", data);
  require("crypto").scrypt("a", "b", 16, (error, key) => {
    process.stdout.write(`node: ${String(fs.readFileSync("/tmp/app")).trim()} ${key.length}\n`, () => process.exit(0));
  });
});
