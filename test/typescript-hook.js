/** Lets plain Node load TypeScript, for what tests run outside jest. */
const { readFileSync } = require('node:fs');
const { transformSync } = require('@swc/core');

exports.loadTypeScript = () => {
  require.extensions['.ts'] = (module, filename) => {
    const { code } = transformSync(readFileSync(filename, 'utf8'), {
      filename,
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'commonjs' },
    });
    // oxlint-disable-next-line no-underscore-dangle -- the name that Node gave it
    module._compile(code, filename);
  };
};
