/** Another host, or another container, that works on the same disk: the kernel shares its locks, its processes are not here. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const HOLD = `import fcntl, json, sys, time
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.truncate(0)
file.write(json.dumps({"pid": 1, "startTime": "1", "bootId": "another", "name": "elsewhere"}))
file.flush()
print("held", flush=True)
time.sleep(600)`;

/** Holds a lock until it is killed. */
export async function holdElsewhere(lock: string): Promise<ChildProcess> {
  const holder = spawn('python3', ['-c', HOLD, lock], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  return holder;
}
