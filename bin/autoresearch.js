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
// Node 22.8 and newer; beside the code, for whoever can write there can change that as well.
enableCompileCache?.(path.join(__dirname, '..', 'dist', 'compile-cache'));
require(main);
