#!/usr/bin/env node
'use strict';

const { existsSync } = require('node:fs');
const path = require('node:path');

const main = path.join(__dirname, '..', 'dist', 'cli', 'main.js');
if (!existsSync(main)) {
  console.error(
    'error: autoresearch is not built yet\n  → run `npm run setup` in ' + path.join(__dirname, '..'),
  );
  process.exit(7);
}
require(main);
