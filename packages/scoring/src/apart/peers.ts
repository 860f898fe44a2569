/** The two places where a session can run apart. A thread costs a tenth of a millisecond a run; a process survives a crash. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { gpuEnvironment } from '../gpu-environment.ts';
import { buffersOf, type FromHost, type ToHost } from './messages.ts';

export interface PeerListeners {
  onMessage(message: FromHost): void;
  /** Once, whatever ended it; nothing follows. */
  onEnded(why: string): void;
}

export interface Peer {
  tell(message: ToHost): void;
  /** Ends it at once, if that is possible without harm to this process. */
  kill(): void;
}

export type StartPeer = (listeners: PeerListeners) => Peer;

const MAX_STDERR_CHARACTERS = 4000;

function entry(): URL {
  return entryUrl('packages/scoring', 'session');
}

/** It holds this process only while it has something to do. Never terminated: during a run that aborts the process. */
export const startThread: StartPeer = ({ onMessage, onEnded }) => {
  const worker = new Worker(entry(), { execArgv: nodeArguments() });
  let problem: string | undefined;
  worker.on('message', onMessage);
  worker.on('error', (thrown) => {
    problem = thrown instanceof Error ? thrown.message : String(thrown);
  });
  worker.once('exit', (code) => onEnded(problem ?? `exit code ${code}`));
  return {
    tell: (message) => worker.postMessage(message, message.type === 'run' ? buffersOf(message.feeds) : []),
    kill() {},
  };
};

/** The shell sets what only a process can set for itself: no core file of a model's crash. */
export const startProcess: StartPeer = ({ onMessage, onEnded }) => {
  const node = [process.execPath, ...nodeArguments(), fileURLToPath(entry())];
  const child: ChildProcess = spawn('/bin/sh', ['-c', 'ulimit -c 0; exec "$@"', 'sh', ...node], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
    env: { MALLOC_ARENA_MAX: '2', ...gpuEnvironment() },
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-MAX_STDERR_CHARACTERS);
  });
  let problem: string | undefined;
  child.on('message', (message) => onMessage(message as FromHost)); // of our own entry
  child.once('error', (error) => {
    problem = error.message;
    if (child.pid === undefined) onEnded(problem); // it was never there, and closes nothing
  });
  child.once('close', (code, signal) => {
    const said = stderr.split('\n').find((line) => line.trim() !== '');
    onEnded(`${problem ?? signal ?? `exit code ${code}`}${said === undefined ? '' : `: ${said.slice(0, 300)}`}`);
  });
  return {
    tell: (message) => void (child.connected && child.send(message)),
    kill: () => void child.kill('SIGKILL'),
  };
};
