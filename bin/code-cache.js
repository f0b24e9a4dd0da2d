/** Runs a bundle with V8's compiled code from the runs before. Node does this by itself only from version 22.8 on. */
'use strict';

const fs = require('node:fs');
const { createRequire, wrap } = require('node:module');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');

/** A run that compiled more than this, which takes some 20 ms, stores it for the next one. */
const WORTH_STORING = 200_000; // bytes

/**
 * Requires `file`. Its cache lies beside it, for this build, Node version and processor: who can write there can change the code as well.
 * @param {string} build names the content of `file`; V8 compares the length only
 */
exports.run = function run(file, build) {
  const cache = `${file}.${build}-${process.version}-${process.arch}`;
  const script = new vm.Script(wrap(fs.readFileSync(file, 'utf8')), {
    filename: file,
    cachedData: read(cache),
  });
  const before = compiled();
  process.on('exit', () => {
    if (compiled() - before > WORTH_STORING) store(cache, script);
  });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(file), module, file, path.dirname(file));
};

const compiled = () => v8.getHeapCodeStatistics().bytecode_and_metadata_size;

function read(cache) {
  try {
    return fs.readFileSync(cache);
  } catch {
    return undefined;
  }
}

/** Another user's installation cannot be written to, nor a full disk: then the next run compiles again. */
function store(cache, script) {
  const temporary = `${cache}.${process.pid}.tmp`;
  try {
    const handle = fs.openSync(temporary, 'wx');
    try {
      fs.writeFileSync(handle, script.createCachedData());
      fs.fsyncSync(handle);
    } finally {
      fs.closeSync(handle);
    }
    fs.renameSync(temporary, cache);
  } catch {
    fs.rmSync(temporary, { force: true });
  }
}
