/** The data of the run: trips, and a model of whether one is slow; small, so that a job takes seconds. */
import { writeFile } from 'node:fs/promises';
import type { TrainingSpec } from '@assay/contracts';

export const DATASET = 'trips';
export const MODEL = 'trips';

const VEHICLES = ['van', 'bike', 'truck'] as const;
const ROWS = 4000;

/** The same rows each time: a few numbers that look like chance. */
function rowsOfTrips(): { distance: number; hour: number; vehicle: string; slow: number }[] {
  return Array.from({ length: ROWS }, (_, row) => {
    const distance = 1 + ((row * 7919) % 400) / 10;
    const hour = (row * 31) % 24;
    const vehicle = VEHICLES[(row * 13) % VEHICLES.length] ?? 'van';
    const noise = ((row * 104_729) % 1000) / 1000;
    const minutes = distance * (vehicle === 'bike' ? 3 : 1.5) + (hour > 6 && hour < 10 ? 15 : 0) + noise * 20;
    return { distance, hour, vehicle, slow: minutes > 50 ? 1 : 0 };
  });
}

export async function writeTrips(file: string): Promise<void> {
  const lines = rowsOfTrips().map(({ distance, hour, vehicle, slow }) => `${distance},${hour},${vehicle},${slow}`);
  await writeFile(file, `distance,hour,vehicle,slow\n${lines.join('\n')}\n`);
}

/** What is scored: every vehicle, near and far. */
export const RECORDS = VEHICLES.flatMap((vehicle) =>
  [2.5, 11, 27.5, 39].map((distance) => ({ distance, hour: Math.floor(distance / 2), vehicle })),
);

export function specOf(more: Partial<TrainingSpec>): TrainingSpec {
  return {
    model: MODEL,
    source: { dataset: DATASET },
    target: { name: 'slow_trip', expression: 'slow = 1' },
    features: [
      { name: 'distance', dtype: 'float64' },
      { name: 'hour', dtype: 'int64' },
      { name: 'vehicle', dtype: 'string' },
    ],
    split: { by: 'random', validation: 0.2, test: 0.2 },
    trainer: { name: 'lightgbm', rounds: 30 },
    ...more,
  };
}
