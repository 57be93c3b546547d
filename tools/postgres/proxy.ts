import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface ProxyOptions {
  /** Added to each round trip: every piece for the server waits that long. */
  delayMs?: number;
  /** Called for each piece from the server: true drops the piece and breaks the connection. */
  breakBefore?: (piece: Buffer) => boolean;
  /** Called for each piece, from either end: the piece and all after it wait for the promise. */
  hold?: (piece: Buffer, from: 'client' | 'server') => Promise<unknown> | undefined;
}

export interface Proxy {
  /** The same database, through the proxy. */
  url: string;
  /** Breaks every connection that is open now. */
  breakAll(): void;
  close(): Promise<void>;
}

/** A loopback proxy in front of a Postgres, which does what networks do: delay and break. */
export async function startProxy(serverUrl: string, options: ProxyOptions = {}): Promise<Proxy> {
  const target = new URL(serverUrl);
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({
      host: target.hostname,
      port: Number(target.port || 5432),
      noDelay: true,
    });
    const both = [client, upstream];
    const breakBoth = () => breakOff(both);
    for (const socket of both) {
      open.add(socket);
      socket.on('error', breakBoth);
      socket.on('close', () => {
        open.delete(socket);
        breakBoth();
      });
    }
    const [toServer, toClient] = [queue(), queue()];
    client.on('data', (piece) =>
      toServer(options.hold?.(piece, 'client'), () =>
        later(options.delayMs, () => write(upstream, piece)),
      ),
    );
    upstream.on('data', (piece) =>
      toClient(options.hold?.(piece, 'server'), () =>
        options.breakBefore?.(piece) ? breakBoth() : write(client, piece),
      ),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const url = new URL(serverUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  const breakAll = () => breakOff(open);
  return {
    url: url.href,
    breakAll,
    async close() {
      const closed = once(server, 'close');
      server.close();
      breakAll();
      await closed;
    },
  };
}

// Timers of one length fire in the order in which they were set, so pieces stay in order.
function later(delayMs: number | undefined, work: () => void): void {
  if (delayMs) setTimeout(work, delayMs);
  else work();
}

/** Does work in the order in which it came, each piece after what holds it up. */
function queue() {
  let last: Promise<unknown> | undefined;
  return (held: Promise<unknown> | undefined, work: () => void): void => {
    if (held || last) last = Promise.all([last, held]).then(work);
    else work();
  };
}

function breakOff(sockets: Iterable<Socket>): void {
  for (const socket of sockets) socket.destroy();
}

function write(socket: Socket, piece: Buffer): void {
  if (!socket.destroyed) socket.write(piece);
}
