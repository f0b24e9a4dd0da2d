/**
 * Everything that is done to an installation. Each `strike` hits, and heals what `up` cannot; what can only be done when
 * all is up again, git at its point too, is in its answer's `afterwards`.
 *   kills      processes die of it
 *   mayRepeat  a run that is under way may be begun again because of it
 *   lasts      for seconds, in which a run may be begun again more than once
 *   outlasted  share of the cases in which a run lasts until it is taken over; `lastsMs` how long at most
 *   points     where it strikes; all, where none are named. `needs`: a role that has to be there
 *   where      the installations that it can be done to
 *   slow       takes a minute or more: only in a long run. `asked`: only when it is asked for by name
 */
import { fullDisk, halfWritten, locks } from './disturbances/files.mjs';
import { everything, freeze, kill, secondWorker, upTwice } from './disturbances/kills.mjs';
import { requestAnd } from './disturbances/requests.mjs';
import { requestAfterRestart } from './disturbances/restarts.mjs';
import { clockJump, cut } from './disturbances/surroundings.mjs';
import { POINTS, RUNNING } from './points.mjs';
import { between } from './random.mjs';

const seconds = (low, high) => between(low * 1_000, high * 1_000);
/** An activity is given up after 30 s without a heartbeat, a proposal after 60 s. */
const LONGER_THAN_A_HEARTBEAT = seconds(31, 36);
const LONGER_THAN_A_PROPOSAL = seconds(62, 70);
/** Retries are a minute apart at most. */
const LONGER_THAN_A_RETRY = seconds(70, 100);
const TAKEN_OVER_MS = 40_000;
const MISSED_MS = 33_000;

const hasDisk = ({ isSmall }) => isSmall;
const hasNetwork = ({ proxy }) => proxy !== null;
/** A run that goes on while nobody watches is what matters most. */
const EVERYWHERE = [...Object.keys(POINTS), ...RUNNING, ...RUNNING];
const worker = { kills: true, points: EVERYWHERE, outlasted: 0.7, lastsMs: TAKEN_OVER_MS };
const server = { kills: true, points: EVERYWHERE, outlasted: 0.3, lastsMs: MISSED_MS };
const away = { outlasted: 0.5, lastsMs: MISSED_MS };
const runner = { mayRepeat: true, points: RUNNING, needs: 'runner' };
const trainer = { mayRepeat: true, points: RUNNING, needs: 'trainer' };

/** The ledger is begun by `start` itself: before that there is no study to steer. */
const STEERED = { kills: true, points: Object.keys(POINTS).filter((name) => !name.endsWith('ledger begun')) };

export const DISTURBANCES = {
  'worker killed': { strike: kill(['worker']), ...worker },
  'worker ended': { strike: kill(['worker'], { name: 'SIGTERM', downMs: seconds(0, 2) }), ...worker },
  'server killed': { strike: kill(['server']), ...server },
  'server ended': { strike: kill(['server'], { name: 'SIGTERM', downMs: seconds(0, 2) }), ...server },
  'server away for seconds': { strike: kill(['server'], { downMs: seconds(2, 14) }), ...server },
  'server away for minutes': {
    strike: kill(['server'], { downMs: LONGER_THAN_A_RETRY }),
    ...server,
    slow: true,
  },
  'server away for an hour': {
    strike: kill(['server'], { downMs: () => 3_660_000 }),
    kills: true,
    asked: true,
  },
  'worker and server killed': { strike: kill(['worker', 'server']), ...worker },
  'runner killed': { strike: kill(['runner']), kills: true, ...runner },
  'trainer killed': { strike: kill(['trainer']), kills: true, ...trainer },
  // Whoever keeps the sandbox, and with it the candidate or the scorer in it.
  'supervisor killed': { strike: kill(['supervisor']), kills: true, ...trainer, needs: 'supervisor' },
  'everything killed': { strike: everything, kills: true, mayRepeat: true, points: EVERYWHERE },
  'everything killed, files half written': {
    strike: halfWritten,
    kills: true,
    mayRepeat: true,
    points: EVERYWHERE,
  },
  'worker and git killed, locks left': { strike: locks, kills: true },
  'worker frozen': { strike: freeze('worker', LONGER_THAN_A_HEARTBEAT), ...away },
  'worker frozen for long': { strike: freeze('worker', LONGER_THAN_A_PROPOSAL), ...away, slow: true },
  'worker frozen for a minute': { strike: freeze('worker', LONGER_THAN_A_RETRY), ...away, slow: true },
  'server frozen': { strike: freeze('server', LONGER_THAN_A_HEARTBEAT), ...away },
  'runner frozen': { strike: freeze('runner', LONGER_THAN_A_HEARTBEAT), ...runner, mayRepeat: false },
  'trainer frozen': { strike: freeze('trainer', LONGER_THAN_A_HEARTBEAT), ...trainer, mayRepeat: false },
  'server frozen for a minute': { strike: freeze('server', LONGER_THAN_A_RETRY), ...away, slow: true },
  'runner frozen for a minute': {
    strike: freeze('runner', LONGER_THAN_A_RETRY),
    ...runner,
    mayRepeat: false,
    slow: true,
  },
  'trainer frozen for a minute': {
    strike: freeze('trainer', LONGER_THAN_A_RETRY),
    ...trainer,
    mayRepeat: false,
    slow: true,
  },
  'disk full': { strike: fullDisk('state'), mayRepeat: true, lasts: true, where: hasDisk },
  'disk of the lab full': { strike: fullDisk('labs'), where: hasDisk },
  'up, twice at once': { strike: upTwice, ...worker },
  'a second worker': { strike: secondWorker('works on'), ...worker },
  'a second worker, the first frozen': { strike: secondWorker('is frozen'), ...worker },
  'a second worker, the first killed': { strike: secondWorker('is killed'), ...worker },
  'clock jumps': { strike: clockJump },
  'connections reset': { strike: cut('reset', seconds(0.1, 14)), where: hasNetwork, ...away },
  'network silent': { strike: cut('silent', seconds(1, 14)), where: hasNetwork, ...away },
  'network silent for a minute': {
    strike: cut('silent', LONGER_THAN_A_RETRY),
    where: hasNetwork,
    ...away,
    slow: true,
  },
  'paused, worker killed': { strike: requestAnd(['pause'], 'worker'), ...STEERED },
  'paused, server killed': { strike: requestAnd(['pause'], 'server'), ...STEERED },
  'stopped, worker killed': { strike: requestAnd(['stop'], 'worker'), ...STEERED },
  'stopped, server killed': { strike: requestAnd(['stop'], 'server'), ...STEERED },
  'stopped now, worker killed': {
    strike: requestAnd(['stop', '--now'], 'worker'),
    ...STEERED,
    mayRepeat: true,
  },
  'stopped now, server killed': {
    strike: requestAnd(['stop', '--now'], 'server'),
    ...STEERED,
    mayRepeat: true,
  },
  'paused by a user, worker killed, asked': { strike: requestAfterRestart('user'), ...STEERED },
  'paused by a limit, worker killed, asked': { strike: requestAfterRestart('limit'), ...STEERED },
  'experiment terminated, worker killed, asked': {
    strike: requestAfterRestart('terminated'),
    kills: true,
    points: RUNNING,
    mayRepeat: true,
  },
  'experiment cancelled, worker killed, asked': {
    strike: requestAfterRestart('cancelled'),
    kills: true,
    points: RUNNING,
    mayRepeat: true,
  },
};
