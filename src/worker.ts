/**
 * The worker of one host: one queue for workflows and control activities, and one queue with one slot for each device. Runs
 * are detached processes, so a worker may be stopped and replaced at any time.
 */
import {
  GracefulShutdownPeriodExpiredError,
  Runtime,
  Worker,
  type WorkerInterceptors,
  type WorkerOptions,
} from '@temporalio/worker';
import { createApply } from './activities/apply';
import { createCheck } from './activities/check-proposal';
import { cleanUpRuns } from './runs/clean-up';
import { baselineRun } from './runs/baseline-run';
import { comparableRuns } from './runs/comparable-runs';
import { createEndWork } from './activities/end-work';
import { createEvaluate } from './activities/evaluate';
import { withFailures } from './activities/failures';
import { heartbeatWhile, withHeartbeats } from './runs/heartbeat';
import { activityMetrics } from './activities/metrics';
import type { ControlActivities, DeviceActivities, ProposeInput } from './activities/interface';
import type { RunClass } from './domain/run-class';
import { createOpenStudy } from './activities/open-study';
import { prepareData, studyData } from './activities/prepare-data';
import { createPropose } from './activities/propose';
import { createRecord } from './activities/record';
import { createSmokeTest } from './activities/smoke-test';
import { createSave } from './activities/save';
import { createTrain } from './activities/train';
import type { RunDependencies } from './runs/watch';
import { exportTree } from './labs/export';
import { Git } from './ledger/git';
import { readLabConfigAt } from './labs/lab';
import { boundRegularly } from './process/log-file';
import { ownerOf } from './process/owner';
import { asset } from './process/package-root';
import { researcherOf } from './researchers';
import type { Researcher } from './researchers/researcher';
import { openWorkspace } from './researchers/workspace';
import { detectDevices, laneOf, type Device } from './host/devices';
import { checkEnvironment, ensureInventory } from './runner/inventory';
import { torchVersion } from './host/torch-version';
import { trainerPython } from './host/trainer-python';
import { buildId } from './temporal/build-id';
import { dataConverter, workflowBundle } from './temporal/codec';
import { credentialsId } from './temporal/connection';
import { connectNative } from './temporal/native-connection';
import { controlQueue } from './temporal/queues';
import { serverLog } from './temporal/server-info';
import { installRuntime } from './temporal/telemetry';
import { workerSettings } from './temporal/worker-settings';
import { environmentHas, writeWorkerInfo, type WorkerInfo } from './temporal/worker-info';
import { workerLog } from './host/worker-process';

/** A heartbeat out of turn, which asks about a cancellation, is sent at once: see src/runs/heartbeat.ts. */
const HEARTBEAT_THROTTLE = '1 second';
/** After this the worker exits with activities still running, as if killed: every activity can be repeated. */
const SHUTDOWN_FORCE_TIME = '3 seconds';

/** Null before the settings are read: until then errors go to stderr as they are. */
let logger: ReturnType<typeof installRuntime> | null = null;

async function main(): Promise<void> {
  const settings = workerSettings();
  logger = installRuntime();
  const python = trainerPython();
  if (python === null) throw new Error('the trainer has no Python environment yet: run `autoresearch up`');
  await ensureInventory(python);
  const devices = await detectDevices();
  const { connection, ...server } = await connectNative();
  const { address, namespace } = server;
  const interceptors: WorkerInterceptors = { activity: [activityMetrics(Runtime.instance().metricMeter)] };
  const options = {
    connection,
    namespace,
    dataConverter: dataConverter(),
    maxHeartbeatThrottleInterval: HEARTBEAT_THROTTLE,
    shutdownForceTime: SHUTDOWN_FORCE_TIME,
    interceptors,
  } as const;
  const workers = [
    await Worker.create({
      ...options,
      taskQueue: controlQueue(),
      workflowBundle: workflowBundle(),
      activities: controlActivities(python, devices),
      maxCachedWorkflows: settings.cachedWorkflows,
      maxConcurrentWorkflowTaskExecutions: settings.workflowSlots,
      maxConcurrentWorkflowTaskPolls: settings.workflowPollers,
      maxConcurrentActivityTaskExecutions: settings.activitySlots,
      maxConcurrentActivityTaskPolls: settings.activityPollers,
    }),
    ...(await Promise.all(devices.map((device) => laneWorker(options, device, python)))),
  ];
  boundRegularly(workerLog(), serverLog());
  const info: WorkerInfo = {
    format: 2,
    owner: ownerOf(process.pid)!,
    build: buildId(),
    address,
    namespace,
    credentials: credentialsId(server),
    queues: [controlQueue(), ...devices.map((device) => laneOf(device).queue)],
    devices: devices.map(({ id }) => id),
    python,
    torch: await torchVersion(python).catch(() => null),
    has: environmentHas(),
    startedAt: new Date().toISOString(),
    isEnding: false,
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      workers.forEach(shutDown);
      // At once, so that `up` does not mistake this worker for a working one.
      writeWorkerInfo({ ...info, isEnding: true }).catch((error: unknown) =>
        logger?.error('worker.json could not be written', { error }),
      );
    });
  }
  const running = Promise.all(workers.map((worker) => worker.run()));
  await writeWorkerInfo(info);
  await running;
  await connection.close();
}

/** A device has one slot: it trains or scores one run at a time. */
function laneWorker(
  options: Omit<WorkerOptions, 'taskQueue'>,
  device: Device,
  python: string,
): Promise<Worker> {
  return Worker.create({
    ...options,
    taskQueue: laneOf(device).queue,
    activities: laneActivities(device, python),
    maxConcurrentActivityTaskExecutions: 1,
  });
}

function laneActivities(device: Device, python: string): DeviceActivities {
  const dependencies: RunDependencies = {
    runner: asset('dist', 'runner', 'main.js'),
    exportTree,
    baselineRun,
    comparableRuns,
    resolveRun: async ({ study }) => {
      await checkEnvironment(python);
      return {
        python,
        data: (await studyData(study)).folder,
        lab: await readLabConfigAt(new Git(study.lab), study.base),
        machine: await machineOf(device, python),
      };
    },
  };
  return { train: createTrain(dependencies), evaluate: createEvaluate(dependencies) };
}

function controlActivities(python: string, devices: readonly Device[]): ControlActivities {
  const first = devices[0];
  if (first === undefined) throw new Error('AUTORESEARCH_DEVICES names no device');
  const smokeTest = createSmokeTest({
    runner: asset('dist', 'runner', 'main.js'),
    exportTree,
    data: async (study) => (await studyData(study)).folder,
    python,
    device: first.id,
  });
  const propose = createPropose({ python, researcher, check: createCheck(python, smokeTest) });
  return {
    openStudy: createOpenStudy({
      lane: () => Promise.resolve(laneOf(first)),
      machine: () => machineOf(first, python),
      prepareData: async (study, lab) => {
        await checkEnvironment(python);
        return prepareData(study, lab, python);
      },
    }),
    propose: async (input) => {
      // A candidate that planted files and crashed was not scored. A researcher may run those files outside the sandbox.
      await withFailures(() => heartbeatWhile(checkEnvironment(python)));
      return propose(input);
    },
    apply: withHeartbeats(createApply()),
    record: withHeartbeats(createRecord({ cleanUp: cleanUpRuns })),
    save: withHeartbeats(createSave()),
    endWork: withHeartbeats(createEndWork()),
  };
}

async function machineOf({ name }: Device, python: string): Promise<RunClass> {
  return { device: name, torch: await torchVersion(python) };
}

function researcher(input: ProposeInput): Researcher {
  const { researcher: name, researcherCommand: command, commandMinutes } = input.study;
  const given = command === null ? null : { command, timeoutMs: commandMinutes * 60_000 };
  return researcherOf(name, given, (context) => openWorkspace(input.study, context));
}

function shutDown(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}

main().catch((error: unknown) => {
  if (error instanceof GracefulShutdownPeriodExpiredError) {
    logger?.warn(`activities were still running after ${SHUTDOWN_FORCE_TIME}: the next worker repeats them`);
    process.exit(0);
  }
  if (logger === null) console.error(error);
  else logger.error('the worker failed', { error });
  // At once: a worker that polls only some of its queues would look alive while the others wait for ever.
  process.exit(1);
});
