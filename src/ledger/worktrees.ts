/** Lists the working trees of a lab. */
import type { Git } from './git';

/** All working trees of the repository, each with the full ref of its branch; null when HEAD is detached. */
export async function listWorktrees(git: Git): Promise<{ path: string; branch: string | null }[]> {
  const listing = await git.text(['worktree', 'list', '--porcelain', '-z']);
  return listing
    .split('\0\0')
    .filter(Boolean)
    .map((block) => {
      const lines = block.split('\0');
      const value = (key: string): string | null =>
        lines.find((line) => line.startsWith(`${key} `))?.slice(key.length + 1) ?? null;
      return { path: value('worktree') ?? '', branch: value('branch') };
    });
}
