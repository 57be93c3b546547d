/** Settings for another server must not reach the connections to one of our own. */
export function forgetSettings(): void {
  for (const name of Object.keys(process.env))
    if (/^PG[A-Z]+$/.test(name)) delete process.env[name];
}
