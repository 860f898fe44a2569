import { describe, expect, test } from 'vitest';
import { chooseNode } from '../bin/choose-node.mjs';

const works = () => ({ ok: true, stderr: '' });
const missing = (library: string) => () => ({
  ok: false,
  stderr: `node: error while loading shared libraries: ${library}: cannot open shared object file: No such file or directory\n`,
});

describe('the Node that runs Assay', () => {
  test('is the one beside the code, on a machine with an older one', () => {
    const machine = { currentVersion: '18.2.0', currentPath: '/usr/bin/node', workspaceNode: '/w/node', probe: works };
    expect(chooseNode(machine)).toEqual({ node: '/w/node' });
  });

  test('is the running one without asking, when it is the one beside the code', () => {
    const probe = () => {
      throw new Error('not needed');
    };
    const machine = { currentVersion: '26.1.0', currentPath: '/w/node', workspaceNode: '/w/node', probe };
    expect(chooseNode(machine)).toEqual({ node: '/w/node' });
  });

  test('is the running one when it is new enough and the one beside the code does not run', () => {
    const machine = { currentPath: '/usr/bin/node', workspaceNode: '/w/node', probe: missing('libatomic.so.1') };
    expect(chooseNode({ ...machine, currentVersion: '24.0.0' })).toEqual({ node: '/usr/bin/node' });
  });

  test('is missing, with words, where nothing new enough was found', () => {
    const machine = { currentVersion: '12.22.0', currentPath: '/usr/bin/node', workspaceNode: undefined, probe: works };
    expect(chooseNode(machine)).toEqual({
      problem: expect.stringMatching(/Node 12\.22\.0 is too old.*24 or newer.*make setup/),
    });
  });

  test('tells which system library is missing and how to get it', () => {
    const machine = { currentVersion: '20.1.0', currentPath: '/usr/bin/node', workspaceNode: '/w/node' };
    expect(chooseNode({ ...machine, probe: missing('libatomic.so.1') })).toEqual({
      problem: expect.stringMatching(/libatomic\.so\.1 is missing.*apt-get install libatomic1/),
    });
    expect(chooseNode({ ...machine, probe: missing('libodd.so.7') })).toEqual({
      problem: expect.stringMatching(/libodd\.so\.7 is missing.*package manager/),
    });
  });

  test('tells what else keeps it from running', () => {
    const probe = () => ({ ok: false, stderr: 'Segmentation fault\n' });
    const machine = { currentVersion: '20.1.0', currentPath: '/usr/bin/node', workspaceNode: '/w/node', probe };
    expect(chooseNode(machine)).toEqual({ problem: expect.stringContaining('Segmentation fault') });
  });
});
