#!/usr/bin/env node
'use strict';

const { readFileSync } = require('node:fs');
const path = require('node:path');
const codeCache = require('./code-cache');

const root = path.join(__dirname, '..');
let build;
try {
  build = readFileSync(path.join(root, 'dist', 'build-id'), 'utf8').trim();
} catch {
  console.error(`error: autoresearch is not built yet\n  → run \`npm run setup\` in ${root}`);
  process.exit(7);
}
codeCache.run(path.join(root, 'dist', 'cli.bundle.js'), build);
