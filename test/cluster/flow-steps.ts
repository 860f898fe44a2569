/**
 * The flows of the run beside the NetworkPolicies. This cluster takes the policies and enforces none, so what they would do
 * is judged: every flow that was seen must be allowed, and flows that must not be are refused.
 */
import { describeFlow, type FlowRecorder, readPolicies, recordFlows } from './flows.ts';
import { HOST } from './infrastructure.ts';
import { besideOf, JOBS_NAMESPACE, NAMESPACE } from './installation.ts';
import { type End, type Flow, refusalOf } from './network-policies.ts';
import { check, type Step, type StepContext } from './step.ts';

let recorder: FlowRecorder | undefined;

/** What a recording that works cannot have missed. */
const MUST_BE_SEEN = [
  /^inference → registry:8101$/,
  /^streaming → registry:8101$/,
  /^training → 10\.231\.0\.2:6443$/,
  /^job → training:8103$/,
  /^job → batch:8104$/,
];

function isOfRelease({ pod }: End): boolean {
  return pod?.namespace === NAMESPACE || pod?.namespace === JOBS_NAMESPACE;
}

const componentOf = ({ pod }: End): string | undefined =>
  pod?.namespace === JOBS_NAMESPACE ? 'job' : pod?.labels['app.kubernetes.io/component'];

/** Made up from the pods that were seen. */
function forbidden(flows: readonly Flow[], context: StepContext): readonly Flow[] {
  const ends = flows.flatMap(({ from, to }) => [from, to]);
  const of = (component: string): End => {
    const found = ends.find((end) => componentOf(end) === component);
    check(found !== undefined, `no flow of ${component} was seen`);
    return found;
  };
  const { postgresPort } = besideOf(context);
  const [host, stranger] = [{ address: HOST }, { address: '192.0.2.1' }];
  const tcp = (from: End, to: End, port: number): Flow => ({ from, to, protocol: 'TCP', port });
  return [
    tcp(of('job'), of('registry'), 8101),
    tcp(of('job'), of('inference'), 8102),
    tcp(of('job'), { address: '10.231.0.2' }, 6443),
    tcp(of('job'), host, postgresPort),
    tcp(of('inference'), host, postgresPort),
    tcp(of('inference'), of('training'), 8103),
    tcp(of('inference'), stranger, 443),
    tcp(stranger, of('inference'), 8102),
    tcp(host, of('streaming'), 8102),
  ];
}

export const recordingStep: Step = {
  name: 'who calls whom is recorded from here',
  async run({ defer }) {
    const started = await recordFlows();
    recorder = started;
    defer(() => started.stop().catch(() => undefined)); // where the judging step was not reached
  },
};

export const judgingStep: Step = {
  name: 'the NetworkPolicies allow every flow that was seen, and none that must not be',
  async run(context) {
    check(recorder !== undefined, 'no earlier step of this run has recorded flows');
    const policies = await readPolicies();
    const flows = (await recorder.stop()).filter(({ from, to }) => isOfRelease(from) || isOfRelease(to));
    const described = [...new Set(flows.map(describeFlow))].sort();
    context.tell('flows', described.join('; '));
    const { broker, postgresPort, blobsPort } = besideOf(context);
    const outside = [
      `registry → ${HOST}:${postgresPort}`,
      `registry → ${HOST}:${blobsPort}`,
      `streaming → ${broker}`,
    ].filter((flow) => !described.includes(flow));
    const missed = MUST_BE_SEEN.filter((pattern) => !described.some((flow) => pattern.test(flow))).map(String);
    check(missed.length + outside.length === 0, `not seen, so not recorded: ${[...missed, ...outside].join('; ')}`);
    const refused = flows.flatMap((flow) => {
      const refusal = refusalOf(flow, policies);
      return refusal === undefined ? [] : [`${describeFlow(flow)} (${refusal})`];
    });
    check(refused.length === 0, `refused where policies are enforced: ${[...new Set(refused)].join('; ')}`);
    const open = forbidden(flows, context).filter((flow) => refusalOf(flow, policies) === undefined);
    check(open.length === 0, `allowed, and must not be: ${open.map(describeFlow).join('; ')}`);
  },
};
