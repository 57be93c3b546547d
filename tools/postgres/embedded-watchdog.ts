import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';

// A shell runs the server, because only another process can clean up after a SIGKILL of ours: its
// input is a pipe that closes when we end, however we end. Each line of it starts the server, on the
// data that is there; each line of its output tells an end. SIGINT, a fast shutdown, is sent until
// the server is gone, as one that comes early in the server's start is lost; after 30 s, SIGQUIT.
// A user without a name (as with `docker run --user`) borrows nobody's for initdb, if it may.
const shell = (initdb: string) => `
trap '' HUP INT TERM PIPE
exec 3<&0 </dev/null
folder=$1; shift
while read -r go <&3; do
  id -un >/dev/null 2>"$folder/log" || named='unshare --map-user=65534'
  if [ -d "$folder/data" ] ||
    \${named-} "$folder/native/bin/initdb" -D "$folder/data" ${initdb} >>"$folder/log" 2>&1 3<&-; then
    "$folder/native/bin/postgres" -D "$folder/data" "$@" >"$folder/log" 2>&1 3<&- &
    server=$!
    {
      while read -r more; do :; done
      tries=0
      while kill -INT $server; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || kill -QUIT $server
        sleep 0.1
      done
    } <&3 >/dev/null 2>&1 &
    wait $server
    kill -KILL $!
  fi
  tail -n 20 "$folder/log" >&2
  echo ended
done
rm -rf "$folder"
`;

export interface WatchdogOptions {
  folder: string;
  owner: { uid: number; gid: number } | undefined;
  initdb: string;
  settings: Record<string, string>;
}

export function startWatchdog({ folder, owner, initdb, settings }: WatchdogOptions) {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn('/bin/sh', ['-c', shell(initdb), 'watchdog', folder, ...flags], {
    ...owner,
    cwd: '/', // ours may be closed to that user
    detached: true, // out of reach of the terminal's Ctrl-C
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close').catch(() => {});
  const parts = [child, child.stdin, child.stdout, child.stderr] as Socket[];

  let said = '';
  const listen = (words: unknown) => {
    said = `${said}${words}`.slice(-8_000);
  };
  let ended = () => {};
  void closed.then(() => ended());
  child.on('error', listen);
  child.stdout.on('data', () => ended());
  child.stderr.on('data', listen);
  child.stdin.on('error', () => {}); // it ended before us, which `closed` reports

  return {
    /** Resolves when server and folder are gone. */
    closed,
    /** Its output: after an end, the last lines of the server's log. */
    words: () => said.trim(),
    /** Starts the server: the binaries are there, and none is running. Resolves when it has ended. */
    go: () =>
      new Promise<void>((resolve) => {
        ended = resolve;
        child.stdin.write('go\n');
      }),
    /** Lets our process end while the server runs. */
    unref: () => {
      for (const part of parts) part.unref();
    },
    end: async () => {
      for (const part of parts) part.ref();
      child.stdin.end();
      await closed;
    },
  };
}
