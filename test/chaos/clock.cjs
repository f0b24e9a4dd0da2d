/** Loaded into an installation's Node processes before anything else: moves their date by the seconds that a file holds. */
const { readFileSync } = require('node:fs');

const LOOK_MS = 200;
const RealDate = Date;
let movedMs = 0;
let looked = -Infinity;

function now() {
  if (performance.now() - looked > LOOK_MS) {
    looked = performance.now();
    movedMs = Number(readFileSync(process.env['CHAOS_CLOCK'], 'utf8')) * 1000;
  }
  return RealDate.now() + movedMs;
}

globalThis.Date = new Proxy(RealDate, {
  construct: (date, args, called) => Reflect.construct(date, args.length === 0 ? [now()] : args, called),
  apply: (date) => new date(now()).toString(),
  get: (date, name) => (name === 'now' ? now : Reflect.get(date, name)),
});
