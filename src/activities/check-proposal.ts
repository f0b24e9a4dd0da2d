/** Tries a change before the device is touched; what is wrong with it goes back to its researcher. */
import { applyEdits, EditRejected } from '../lab/apply-edits';
import type { LabConfig } from '../lab/config';
import { Git } from '../lab/git';
import type { ResearchContext } from '../researchers/researcher';
import type { ProposeInput } from './interface';

export function createCheck(): (input: ProposeInput, lab: LabConfig) => ResearchContext['check'] {
  return ({ study, incumbent, repair }, lab) =>
    async (edits) => {
      try {
        await applyEdits(new Git(study.lab), repair?.commit ?? incumbent, edits, lab);
        return null;
      } catch (error) {
        if (!(error instanceof EditRejected)) throw error;
        return { kind: 'edits', message: error.message };
      }
    };
}
