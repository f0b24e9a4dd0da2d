/** A lab of one file whose candidate is the workshop's. */
import { parseLabConfig, type LabConfig } from '../../src/labs/lab-yaml';

/** @param candidate what it is told to do @param caps beside a small scratch */
export function labOf(candidate: readonly string[], score: readonly string[], caps: object = {}): LabConfig {
  return parseLabConfig(
    JSON.stringify({
      version: 1,
      name: 'test',
      metric: { name: 'val_bpb', direction: 'minimize' },
      editable: ['train.py'],
      locked: ['lab.yaml'],
      data: { prepare: ['python', 'prepare.py'] },
      train: { command: ['python', 'candidate.py', ...candidate] },
      score: { command: score },
      caps: { scratch_bytes: 32 << 20, ...caps },
    }),
  );
}
