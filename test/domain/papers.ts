/** What git keeps of a study on paper: proposals and records, with the hints and ideas in them. */
import assert from 'node:assert/strict';
import type { ExperimentRecord, Idea } from '../../src/domain/experiment';
import { backlog, newIdeas } from '../../src/domain/ideas';
import { MAX_WAITING } from '../../src/domain/study';
import { takenBy, type Waiting } from '../../src/domain/waiting';
import { makeResearch } from '../ledger/research';

/** Which of the ideas it is given a researcher takes up, from the end of the list, and how many of its own it adds. */
export interface Proposing {
  pick: number | null;
  own: number;
}

interface Blob {
  hints: string[];
  idea: Idea | null;
  ideas: string[];
}

type Recorded = Pick<ExperimentRecord, 'number' | 'startedAt' | 'research' | 'ideas' | 'droppedIdeas'>;

const count = (ids: readonly string[], wanted: string): number => ids.filter((id) => id === wanted).length;

export class Papers {
  readonly records: Recorded[] = [];
  /** What people have said and was taken, in all its life. */
  readonly said = { hints: new Set<string>(), ideas: new Set<string>() };
  /** Ids of ideas that people wanted off the backlog, as often as they did. */
  readonly drops: string[] = [];
  private readonly blobs = new Map<number, Blob>();
  /** What was lost with a server. */
  private readonly forgotten = new Set<string>();

  backlog = (): Idea[] => backlog(this.records);

  /** As the activity does: what was proposed for a number is the answer, for ever. @returns what is taken in */
  propose(number: number, waiting: Waiting, { pick, own }: Proposing): Waiting {
    // A baseline is not proposed, and hears nothing.
    if (number === 0) return { ...waiting, hints: [] };
    const dropped = new Set(waiting.droppedIdeas);
    const offered = [
      ...this.backlog().filter(({ id }) => !dropped.has(id)),
      ...newIdeas(number, waiting.ideas, []),
    ];
    const blob = this.blobs.get(number) ?? {
      hints: waiting.hints,
      idea: pick === null ? null : (offered.at(-1 - pick) ?? null),
      ideas: Array.from({ length: own }, (_, nth) => `own idea ${number}.${nth}`),
    };
    this.blobs.set(number, blob);
    return { ...waiting, hints: blob.hints };
  }

  tookUp = (number: number): boolean => this.blobs.get(number)?.idea != null;

  /** The record that was there first counts. @returns what it has taken in */
  record(number: number, taken: Waiting, startedAt: string): Waiting {
    const earlier = this.records[number];
    if (earlier !== undefined) return takenBy(earlier);
    const blob = this.blobs.get(number);
    this.records.push({
      number,
      startedAt,
      research: blob === undefined ? null : makeResearch({ hints: blob.hints, idea: blob.idea?.id ?? null }),
      ideas: newIdeas(number, taken.ideas, blob?.ideas ?? []),
      droppedIdeas: taken.droppedIdeas,
    });
    return taken;
  }

  forgetAllBut({ hints, ideas }: Waiting): void {
    for (const text of [...this.said.hints, ...this.said.ideas])
      if (!hints.includes(text) && !ideas.includes(text)) this.forgotten.add(text);
  }

  /** @param waiting what no record has taken in yet */
  check(waiting: Waiting): void {
    for (const texts of Object.values(waiting) as string[][]) assert.ok(texts.length <= MAX_WAITING);
    this.checkOnce('hints', waiting, (record) => record.research?.hints ?? []);
    this.checkOnce('ideas', waiting, ({ ideas }) =>
      ideas.filter(({ from }) => from === 'human').map(({ text }) => text),
    );
    this.checkIdeas();
    const drops = [...this.records, waiting].flatMap(({ droppedIdeas }) => droppedIdeas);
    for (const id of drops) assert.ok(count(drops, id) <= count(this.drops, id), `${id} is dropped again`);
  }

  /** What was said waits, or is in one record; nothing is in two, nothing is lost but with its server. */
  private checkOnce(
    kind: 'hints' | 'ideas',
    waiting: Waiting,
    heardIn: (record: Recorded) => string[],
  ): void {
    const heard = this.records.flatMap(heardIn);
    assert.equal(new Set(heard).size, heard.length);
    const places = [...heard, ...waiting[kind]];
    assert.equal(new Set(places).size, places.length);
    for (const text of this.said[kind])
      assert.ok(places.includes(text) || this.forgotten.has(text), `${text} is lost`);
  }

  /** An idea is taken up at most once, as what it was offered as, and no more once it was dropped. */
  private checkIdeas(): void {
    const all = this.records.flatMap(({ ideas }) => ideas);
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
    const gone = new Set<string>();
    for (const { number, research, droppedIdeas } of this.records) {
      const idea = this.blobs.get(number)?.idea ?? null;
      assert.equal(research?.idea ?? null, idea?.id ?? null);
      if (idea !== null) {
        assert.ok(!gone.has(idea.id), `${idea.text} was taken up again`);
        assert.equal(all.find(({ id }) => id === idea.id)?.text, idea.text);
        gone.add(idea.id);
      }
      for (const id of droppedIdeas) gone.add(id);
    }
    const open = all.filter(({ id }) => !gone.has(id));
    const kept = new Set(this.backlog().map(({ id }) => id));
    for (const { id, from } of open) assert.ok(kept.has(id) || (from === 'researcher' && open.length > 60));
    assert.ok([...kept].every((id) => !gone.has(id)));
  }
}
