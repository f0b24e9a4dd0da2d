#!/usr/bin/env node
'use strict';

const { existsSync } = require('node:fs');
const { enableCompileCache } = require('node:module');
const path = require('node:path');

const main = path.join(__dirname, '..', 'dist', 'cli', 'main.js');
if (!existsSync(main)) {
  console.error(
    'error: autoresearch is not built yet\n  → run `npm run setup` in ' + path.join(__dirname, '..'),
  );
  process.exit(7);
}
// Node 22.8 and newer. Beside the code: a user who can write the cache can also write the code.
enableCompileCache?.(path.join(__dirname, '..', 'dist', 'compile-cache'));
require(main);
