import { spawn } from 'node:child_process';

export interface ExecuteOptions {
  signal: AbortSignal;
  env?: Record<string, string>;
  cwd?: string;
}

/** Runs a command and shows its output. The signal ends the command and everything that it started. */
export async function execute(
  file: string,
  args: string[],
  { signal, env, cwd }: ExecuteOptions,
): Promise<{ code: number | null; lastLine: string }> {
  signal.throwIfAborted();
  const child = spawn(file, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true, // a process group of its own, which can be ended as a whole
  });
  let said = '';
  child.stdout.on('data', (data) => {
    process.stdout.write(data);
    said = `${said}${data}`.slice(-2_000);
  });
  const end = endGroup(child.pid);
  signal.addEventListener('abort', end);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    return { code, lastLine: said.trimEnd().split('\n').pop() ?? '' };
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function endGroup(pid: number | undefined): () => void {
  const send = (signal: NodeJS.Signals) => {
    try {
      if (pid !== undefined) process.kill(-pid, signal);
    } catch {
      // it has ended
    }
  };
  return () => {
    send('SIGTERM');
    setTimeout(send, 10_000, 'SIGKILL').unref();
  };
}
