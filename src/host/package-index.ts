/**
 * Where packages come from when pip has been told (a company's mirror) and uv has not: uv reads none of pip's
 * settings, and one that we have installed ourselves has no settings of its own.
 */
import { run } from '../process/run-program';

/** Variables for uv; the user's own UV_ variables go before them. */
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
