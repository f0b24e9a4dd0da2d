import { statusText } from '../../../src/cli/render/status';
import type { Assumed } from '../../../src/domain/money';
import type { Account } from '../../../src/researchers/spend-guard';
import { activity, snapshot, summary } from '../snapshots';

const experiments = [
  summary(0),
  summary(1, { verdict: 'keep', reason: 'better', score: 1.9, title: 'wider' }),
];

const spending = (
  dollars: number,
  proposing: Partial<Account>,
  limit: number | null,
  assumed: Assumed | null,
) => {
  const moment = snapshot({
    experiments: [summary(0), summary(1, { dollars, assumed })],
    proposing: { settled: 0, assumed: null, aside: null, ...proposing },
  });
  const { study, ...rest } = moment;
  return statusText({ ...rest, study: { ...study, limits: { ...study.limits, dollars: limit } } }, 200);
};

describe('status', () => {
  it('says what happens just now', () => {
    const progress = { phase: 'training', step: 120, loss: 3.4123, tokens: 9, secondsLeft: 95 };
    const current = { number: 2, title: 'deeper', activity: activity('train', { progress }) };
    const text = statusText(snapshot({ experiments, current }), 80);
    expect(text).toMatch(/^nov21 · running · researcher tpe$/m);
    expect(text).toMatch(/^now +#2 training · step 120 · loss 3\.412 · 1 min 35 s left · deeper$/m);
    expect(text).toMatch(/^best +val_bpb 1\.9000 at #1 \(1cccccc\) · wider$/m);
    expect(text).toMatch(/^budget +2 experiments · GPU 10 min 40 s · wall 11 min 00 s · no limits$/m);
  });

  describe('money', () => {
    const lost = { calls: 2, dollars: 0.8, most: 0.4 };

    it('that is spent, set aside and left adds up to the limit', () => {
      const text = spending(0.5, { settled: 0.2, aside: lost }, 2, null);
      expect(text).toMatch(/^budget .* · \$0\.70 of \$2\.00$/m);
      expect(text).toMatch(/^money +\$0\.80 set aside for 2 calls under way or lost · \$0\.50 left$/m);
    });

    it('of calls without a readable cost are shown, those of the running experiment too', () => {
      const assumed = { calls: 1, dollars: 0.75, most: 0.75 };
      const text = spending(0.75, { assumed }, 2, assumed);
      expect(text).toMatch(/^budget .* · \$1\.50 of \$2\.00$/m);
      expect(text).toMatch(
        /^money +\$0\.50 left · 2 calls without a readable cost, counted at \$0\.75 each$/m,
      );
    });

    it('shows a total where calls were counted differently, and says where none was counted', () => {
      const text = spending(0.75, { assumed: { calls: 1, dollars: 1, most: 1 } }, null, {
        calls: 1,
        dollars: 0.75,
        most: 0.75,
      });
      expect(text).toMatch(/^money +2 calls without a readable cost, counted at \$1\.75 in all$/m);
      expect(spending(0, {}, null, { calls: 3, dollars: 0, most: 0 })).toMatch(
        /^money +3 calls without a readable cost, not counted$/m,
      );
      expect(spending(0, {}, null, null)).not.toMatch(/^money/m);
    });
  });

  it('says why a step is tried again and again', () => {
    const current = {
      number: 2,
      title: null,
      activity: activity('propose', { attempt: 7, lastFailure: 'HTTP 529' }),
    };
    expect(statusText(snapshot({ experiments, current }), 80)).toMatch(
      /^problem +propose, attempt 7: HTTP 529$/m,
    );
  });

  it('says when it is tried again', () => {
    const next = Date.now() + 14.5 * 60_000;
    const current = {
      number: 2,
      title: null,
      activity: activity('propose', { attempt: 2, next, lastFailure: 'the API asks to wait: 429' }),
    };
    expect(statusText(snapshot({ experiments, current }), 80)).toMatch(
      /^problem +propose, attempt 2 in 14 min (29|30) s: the API asks to wait: 429$/m,
    );
  });

  it('says why the study waits', () => {
    const text = statusText(
      snapshot({ experiments, phase: 'paused', reason: 'GPU-hours limit: 8 of 8 spent' }),
      80,
    );
    expect(text).toContain('nov21 · paused: GPU-hours limit: 8 of 8 spent');
  });

  it('tells what waits for the next experiment, and that tpe does not read hints', () => {
    const waiting = { hints: ['wider', 'deeper'], ideas: ['tie the head'], droppedIdeas: [] };
    const printed = (researcher: string) => {
      const { study, ...rest } = snapshot({ experiments });
      return statusText({ ...rest, study: { ...study, waiting, researcher } }, 120);
    };
    expect(printed('claude+tpe')).toMatch(/^waiting +2 hints, 1 idea for the next experiment$/m);
    expect(printed('tpe')).toMatch(/^waiting +2 hints \(tpe reads none\), 1 idea for the next experiment$/m);
  });

  it('tells of a plateau, and of the change of approach where somebody is asked for one', () => {
    const plateau = { since: 9, approach: 'combine' as const };
    const printed = (researcher: string) => {
      const { study, ...rest } = snapshot({ experiments });
      return statusText({ ...rest, study: { ...study, plateau, researcher } }, 120);
    };
    expect(printed('claude')).toMatch(
      /^plateau +nothing kept in 9 experiments; asked to combine near misses/m,
    );
    expect(printed('tpe')).toMatch(/^plateau +nothing kept in 9 experiments$/m);
  });

  it('warns of runs that are not contained', () => {
    expect(statusText(snapshot({ sandbox: 'none' }), 80)).toMatch(/^sandbox +none: runs are NOT contained/m);
  });

  it('fits 80 columns whatever a researcher writes', () => {
    const title = 'wide '.repeat(40) + '\u001B[31m\u202Egpj.exe';
    const long = [...experiments, summary(2, { title, verdict: 'crash', reason: 'unscorable', score: null })];
    const current = {
      number: 3,
      title,
      activity: activity('train', { attempt: 2, lastFailure: 'word '.repeat(60) }),
    };
    const text = statusText(
      snapshot({ experiments: long, current, link: null, problem: 'x '.repeat(100) }),
      80,
    );
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(text).not.toContain('\u001B');
    expect(text).not.toContain('\u202E');
  });
});
