export interface Progress {
  /** Plans this many seconds from now on; the clock shows how long a planned second really takes. */
  expect(seconds: number): void;
  say(what: string): void;
  wipe(): void;
}

/** Shows what is going on and the time left: one line that is rewritten, or a line now and then in a log. */
export function startProgress(): Progress {
  const { stderr } = process;
  let first: { at: number; seconds: number } | undefined;
  let end = Number.NaN;
  let writtenAt = 0;
  const left = () => {
    const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
    if (Number.isNaN(seconds)) return '';
    return `, about ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left`;
  };
  return {
    expect(seconds) {
      first ??= { at: Date.now(), seconds };
      const done = first.seconds - seconds;
      const slowness = done > 0 ? (Date.now() - first.at) / done : 1000;
      end = Date.now() + seconds * slowness;
    },
    say(what) {
      const now = Date.now();
      const line = `${what}${left()}`;
      if (stderr.isTTY) stderr.write(`\r\u001b[K${line.slice(0, stderr.columns - 1)}`);
      else if (now - writtenAt >= 5000) {
        writtenAt = now;
        stderr.write(`${line}\n`);
      }
    },
    wipe() {
      if (stderr.isTTY) stderr.write('\r\u001b[K');
    },
  };
}
