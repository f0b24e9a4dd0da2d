/** Runs one function of a module in a process of its own, to be killed or raced: node child.js MODULE FUNCTION ARGUMENTS. */
const { loadTypeScript } = require('../typescript-hook');

loadTypeScript();

const [path, name, values] = process.argv.slice(2);
const work = require(path)[name];
process.send?.('begins');
work(...JSON.parse(values)).catch((error) => {
  console.error(error);
  process.exit(1);
});
