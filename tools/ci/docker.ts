import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { $ } from 'zx';
import { Skip } from './check.ts';
import { importImage, standIn } from './docker-image.ts';

/** What testcontainers needs to know of a daemon that has our stand-in image. */
type DockerEnv = Record<string, string>;

interface Daemon {
  env: DockerEnv;
  stop(): Promise<void>;
}

const bridge = '/sys/class/net/docker0';

/** The daemon that runs here, or one of our own: it needs Debian's docker.io, and leaves nothing. */
export async function withDocker<T>(
  folder: string,
  signal: AbortSignal,
  use: (env: DockerEnv) => Promise<T>,
): Promise<T> {
  mkdirSync(folder);
  const daemon = (await runningDaemon()) ?? (await startDaemon(folder, signal));
  try {
    const docker = $({ env: { ...process.env, ...daemon.env }, signal, quiet: true });
    await importImage(join(folder, 'image'), docker);
    return await use({
      ...daemon.env,
      TESTCONTAINERS_RYUK_DISABLED: 'true', // its image can't be had; the daemon's end ends all
      PG_CREDITS_TEST_SERVER: 'docker',
      PG_CREDITS_TEST_IMAGE: standIn,
    });
  } finally {
    await daemon.stop();
  }
}

const answers = async (env: DockerEnv) =>
  (await $({ env: { ...process.env, ...env }, nothrow: true, quiet: true })`docker info`)
    .exitCode === 0;

async function runningDaemon(): Promise<Daemon | undefined> {
  if (!(await answers({}))) return undefined;
  return { env: {}, stop: async () => void (await $`docker rmi ${standIn}`.nothrow().quiet()) };
}

async function startDaemon(folder: string, signal: AbortSignal): Promise<Daemon> {
  if (process.getuid?.() !== 0) throw new Skip('to start a Docker daemon one must be root');
  const socket = `unix://${join(folder, 'socket')}`;
  const places = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')];
  const log = openSync(join(folder, 'log'), 'w');
  // Its proxies publish the ports: the machine's firewall need not change.
  const network = [
    '--iptables=false',
    '--ip6tables=false',
    '--ip-forward=false',
    '--ip-masq=false',
  ];
  const args = ['--host', socket, '--pidfile', join(folder, 'pid'), ...places, ...network];
  const hadBridge = existsSync(bridge);
  const child = spawn('dockerd', args, { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  let ended: string | undefined;
  const end = new Promise<void>((resolve) => {
    const note = (reason: string) => {
      ended = reason;
      resolve();
    };
    child.once('error', (error) => note(error.message));
    child.once('exit', () => note(lastLine(join(folder, 'log'))));
  });
  const env = { DOCKER_HOST: socket };
  const stop = async () => {
    child.kill('SIGTERM'); // ends its containers first
    await end;
    if (!hadBridge) await $`ip link delete docker0`.nothrow().quiet();
  };
  for (let tries = 0; ended === undefined && tries < 300; tries += 1) {
    if (await answers(env)) return { env, stop };
    if (signal.aborted) break;
    await sleep(100);
  }
  const reason = ended ?? lastLine(join(folder, 'log'));
  if (ended === undefined) await stop();
  signal.throwIfAborted();
  throw new Skip(`no Docker daemon can be started here: ${reason}`);
}

function lastLine(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').pop() ?? '';
}
