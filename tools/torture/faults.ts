import { cut } from './cut.ts';
import { diskFull } from './disk-full.ts';
import { failover } from './failover.ts';
import type { Fault } from './fault.ts';
import { interrupt } from './interrupt.ts';
import { kill } from './kill.ts';
import { killClient } from './kill-client.ts';

export const faults: Fault[] = [kill, killClient, cut, interrupt, diskFull, failover];
