/** A second writer of a ledger, in a process of its own: node append.js LAB STUDY NUMBERS. */
const { readFileSync } = require('node:fs');
const { transformSync } = require('@swc/core');

require.extensions['.ts'] = (module, filename) => {
  const { code } = transformSync(readFileSync(filename, 'utf8'), {
    filename,
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'commonjs' },
  });
  // oxlint-disable-next-line no-underscore-dangle -- the name that Node gave it
  module._compile(code, filename);
};

const { Git } = require('../../src/lab/git');
const { appendRecord } = require('../../src/lab/ledger');

const [root, study, numbers] = process.argv.slice(2);

async function main() {
  for (const number of JSON.parse(numbers)) {
    const record = JSON.parse(process.env.RECORD);
    await appendRecord(new Git(root), JSON.parse(study), { ...record, number });
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
