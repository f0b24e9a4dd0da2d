/**
 * `node test/replay/record.js v0.2.0`, once, when that release is made. Every later version has to replay what was
 * recorded (replay.test.ts), so a folder that is there is never written again.
 */
const { loadTypeScript } = require('../typescript-hook');

loadTypeScript();
const { record } = require('./scenarios.ts');

record(process.argv[2] ?? '').catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
