// For tests: `node --import …/record-modules.mjs program` writes the address of every module that was loaded, one a line,
// into the file that RECORD_MODULES names; and at its end those of Node, of which most load each other: `NativeModule tls`.
import { appendFileSync } from 'node:fs';
import { Module, registerHooks } from 'node:module';

const file = process.env.RECORD_MODULES;
const seen = new Set();
const record = (address) => {
  if (seen.has(address)) return;
  seen.add(address);
  appendFileSync(file, `${address}\n`);
};
registerHooks({
  load(url, context, next) {
    record(url);
    return next(url, context);
  },
});
process.on('exit', () => process.moduleLoadList.forEach(record));
// What CommonJS modules require is loaded past the hooks when they were compiled from a cache.
const load = Module._load;
Module._load = function (request, parent, isMain) {
  record(Module._resolveFilename(request, parent, isMain));
  return load.call(this, request, parent, isMain);
};
