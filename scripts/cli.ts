#!/usr/bin/env node
import { commandLine } from './main.ts';
import { onInterruptOfReading } from './shell/signals.ts';

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const args = process.argv.slice(2);
onInterruptOfReading(args.includes('--json'));
process.exitCode = await commandLine(args);
