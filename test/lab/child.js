/** Runs one function of a module in a process of its own, to be killed or raced: node child.js MODULE FUNCTION ARGUMENTS. */
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

const [path, name, values] = process.argv.slice(2);
const work = require(path)[name];
process.send?.('begins');
work(...JSON.parse(values)).catch((error) => {
  console.error(error);
  process.exit(1);
});
