#!/usr/bin/env node
import { commandLine } from './main.ts';
import { runProcess } from './shell/command.ts';
import { endReading } from './shell/signals.ts';
import { Terminal } from './shell/terminal.ts';

await runProcess((args) => {
  endReading(new Terminal(args.includes('--json')));
  return commandLine(args);
});
