import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * None that the system might give to a connection: while the server is down, one that tries to reach
 * it could get its very port, and be connected to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 32_000);
    const server = createServer().listen(port, '127.0.0.1');
    const free = await once(server, 'listening').catch(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    if (free) return port;
  }
}
