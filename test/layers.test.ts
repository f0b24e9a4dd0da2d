/** Imports point downwards: the linter refuses one that does not, of a type too, and any cycle. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { asset } from '../src/process/package-root';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'layers-'));
  copyFileSync(asset('.oxlintrc.json'), join(folder, '.oxlintrc.json'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function plant(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** What the linter says of the planted files; empty where it has no objection. */
function lint(): string {
  const oxlint = asset('node_modules', '.bin', 'oxlint');
  try {
    execFileSync(oxlint, ['--format', 'unix', 'src'], { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

const UPWARDS: [string, string][] = [
  ['process', 'ledger'],
  ['domain', 'activities'],
  ['domain', 'labs'],
  ['temporal', 'host'],
  ['ledger', 'labs'],
  ['labs', 'runner'],
  ['runner', 'runs'],
  ['runner/model', 'activities'],
  ['runs', 'researchers'],
  ['researchers', 'activities'],
  ['host', 'studies'],
  ['activities', 'workflows'],
  ['workflows', 'studies'],
  ['studies', 'cli'],
];

test.each(UPWARDS)('src/%s may not import a value or a type of src/%s', (lower, upper) => {
  const up = lower.includes('/') ? '../../' : '../';
  plant({
    [`src/${upper}/above.ts`]: 'export interface Above {\n  a: string;\n}\nexport const above = 1;\n',
    [`src/${lower}/planted.ts`]: `import { above } from '${up}${upper}/above';\n\nexport const below = above;\n`,
    [`src/${lower}/planted-type.ts`]: `import type { Above } from '${up}${upper}/above';\n\nexport type Below = Above;\n`,
  });
  const said = lint();
  expect(said).toMatch(/planted\.ts.*no-restricted-imports/);
  expect(said).toMatch(/planted-type\.ts.*no-restricted-imports/);
});

test('an import downwards is fine, and a cycle of types is not', () => {
  plant({
    'src/process/below.ts': 'export const below = 1;\n',
    'src/cli/above.ts': "import { below } from '../process/below';\n\nexport const above = below;\n",
  });
  expect(lint()).toBe('');
  plant({
    'src/domain/one.ts': "import type { Two } from './two';\n\nexport interface One {\n  two: Two;\n}\n",
    'src/domain/two.ts': "import type { One } from './one';\n\nexport interface Two {\n  one: One;\n}\n",
  });
  expect(lint()).toMatch(/one\.ts.*no-cycle/);
});
