import { capture } from '../../src/researchers/capture';

const never = new AbortController().signal;

test('a flood is cut to its end, and does not hold up the worker for minutes', async () => {
  const script = `import sys
for index in range(100):
    sys.stdout.write("é" * 1_000_000)
print("the end")`;
  const { stdout } = await capture(['python3', '-c', script], {
    stdin: '',
    timeoutMs: 90_000,
    signal: never,
  });
  expect(stdout).toHaveLength(8 << 20);
  expect(stdout.slice(-10)).toBe('ééthe end\n');
  expect(new Set(stdout.slice(0, -8))).toEqual(new Set('é'));
}, 100_000);
