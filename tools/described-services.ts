/** Every service that has an API, described without opening anything. */
import { describe as describeBatch } from '@assay/batch';
import { describe as describeInference } from '@assay/inference';
import { describe as describeMonitoring } from '@assay/monitoring';
import { describe as describeRegistry } from '@assay/registry';
import { describe as describeTraining } from '@assay/training';

export function describedServices() {
  return [describeRegistry(), describeInference(), describeTraining(), describeBatch(), describeMonitoring()];
}
