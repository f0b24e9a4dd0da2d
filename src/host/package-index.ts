/**
 * Passes pip's package index (a company's mirror) on to uv, which does not read pip's settings.
 */
import { run } from '../process/run-program';

/** Environment variables for uv; the user's own UV_ variables take precedence. */
export async function packageIndex(): Promise<NodeJS.ProcessEnv> {
  const { ok, stdout } = await run('python3', ['-m', 'pip', 'config', 'list'], { timeoutMs: 30_000 });
  const setting = (name: string): string | null => {
    const variable = process.env[`PIP_${name.toUpperCase().replaceAll('-', '_')}`] ?? '';
    if (variable !== '') return variable;
    return ok ? (new RegExp(`^(?:global|install)\\.${name}='(.*)'$`, 'mu').exec(stdout)?.[1] ?? null) : null;
  };
  const index = setting('index-url');
  const extra = setting('extra-index-url');
  const certificates = setting('cert');
  return {
    ...(index !== null && { UV_DEFAULT_INDEX: index }),
    ...(extra !== null && { UV_INDEX: extra }),
    ...(certificates !== null && { SSL_CERT_FILE: certificates }),
  };
}
