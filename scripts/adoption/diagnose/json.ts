import { errorObject, toldAlready } from '../../shell/explain.ts';
import { toJson } from '../../shell/format.ts';
import type { Moment } from '../app/moment.ts';
import type { AccountDiagnosis } from './diagnosis.ts';
import type { Totals } from './totals.ts';

/** JSON in one line: a line end within a text is written as \n. */
const line = (value: unknown) => toJson(value).replace(/\n\s*/g, ' ');

/** An object whose accounts are written as they come, and none is kept. */
export class JsonReport {
  private readonly out: NodeJS.WritableStream;
  private text = '';
  private separator = '\n';
  private begun = false;

  constructor(out: NodeJS.WritableStream) {
    this.out = out;
  }

  async begin({ database, as_of }: Moment): Promise<void> {
    await this.write(
      `{\n"database": ${line(database)},\n"as_of": ${line(as_of)},\n"read_only": true,\n"accounts": [`,
    );
  }

  async add(account: AccountDiagnosis): Promise<void> {
    await this.write(`${this.separator}${line(account)}`);
    this.separator = ',\n';
  }

  async end(totals: Totals): Promise<void> {
    await this.write(`\n],\n"totals": ${toJson(totals)}\n}\n`);
    await this.flush();
  }

  /** What was written so far ends as an object all the same; if nothing was, the error stands alone. */
  async fail(error: unknown): Promise<void> {
    if (!this.begun) return;
    await this.write(`\n],\n"error": ${line(errorObject(error))}\n}\n`);
    await this.flush();
    toldAlready.add(error as object);
  }

  private async write(text: string): Promise<void> {
    this.text += text;
    if (this.text.length > 65_536) await this.flush();
  }

  /** At the reader's pace; one that has seen enough is no failure. */
  private async flush(): Promise<void> {
    const { text } = this;
    this.text = '';
    this.begun = true;
    await new Promise((resolve) => this.out.write(text, resolve));
  }
}
