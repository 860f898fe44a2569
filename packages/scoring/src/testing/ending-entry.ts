/** A child that ends as it is told, for the tests of run-in-child.ts. */
import { writeSync } from 'node:fs';

switch (process.argv[2]) {
  case 'crash':
    console.error('about to crash');
    process.kill(process.pid, 'SIGSEGV');
    break;
  case 'exit':
    process.exit(7);
    break;
  case 'hang':
    while (true);
  case 'half':
    writeSync(3, '{"result": ');
    break;
  case 'memory': {
    const kept: Uint8Array[] = [];
    for (;;) {
      kept.push(new Uint8Array(8 * 1024 ** 2).fill(1));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  case 'environment':
    writeSync(3, JSON.stringify({ result: Object.keys(process.env) }));
    break;
}
