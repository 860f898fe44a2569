/**
 * Makes flights.parquet, the sample that is committed here, from flights-3m.parquet of the npm package vega-datasets:
 * every fifteenth flight in the order of departure, so that all hours and airports keep their share. The same package
 * gives the same rows.
 *
 *     node examples/flights/make-sample.ts [FILE] [ONE_IN]
 *
 * FILE: where to write, default flights.parquet beside this script. ONE_IN: how many flights make one of the sample,
 * default 15; 1 takes them all.
 */
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';

const [file = fileURLToPath(new URL('flights.parquet', import.meta.url)), oneIn = '15'] = process.argv.slice(2);
const source = fileURLToPath(new URL('../data/flights-3m.parquet', import.meta.resolve('vega-datasets')));

const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
const connection = await instance.connect();
// The source is in the order of departure. Parquet version 2 writes differences: half the size for such columns.
await connection.run(`
  COPY (
    SELECT date, delay::SMALLINT AS delay, distance::SMALLINT AS distance, origin, destination
    FROM read_parquet('${source}', file_row_number = true)
    WHERE file_row_number % ${Number.parseInt(oneIn, 10)} = 0
    ORDER BY file_row_number
  ) TO '${file}' (FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 22, ROW_GROUP_SIZE 4000000)
`);
connection.closeSync();
instance.closeSync();
