"""The baseline of the batch benchmark: polars and onnxruntime. The same Parquet in, the same ONNX file, the same columns out
as Parquet. Prints {"seconds", "cpuSeconds", "inferenceCpuSeconds", "rows", "peakMegabytes"} as its last line."""

import json
import os
import resource
import sys
import time

os.environ["POLARS_MAX_THREADS"] = sys.argv[4]

import numpy
import onnxruntime
import polars

source, model, target, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
BATCH_ROWS = 65_536

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
options.inter_op_num_threads = 1
began, cpu = time.perf_counter(), time.process_time()
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
rows = polars.read_parquet(source)
features = rows.select(
    polars.col("date").dt.hour().cast(polars.Int64).alias("hour"),
    polars.col("date").dt.weekday().cast(polars.Int64).alias("weekday"),
    polars.col("distance").cast(polars.Float64),
    polars.col("origin"),
    polars.col("destination"),
)
labels, probabilities = [], []
inference = 0.0
for start in range(0, features.height, BATCH_ROWS):
    part = features.slice(start, BATCH_ROWS)
    feeds = {}
    for name in part.columns:
        values = part[name].to_numpy()
        if part[name].dtype == polars.String:
            values = values.astype(object)
        feeds[name] = values.reshape(-1, 1)
    before = time.process_time()
    label, probability = session.run(["label", "probabilities"], feeds)
    inference += time.process_time() - before
    labels.append(label)
    probabilities.append(probability)
probability = numpy.concatenate(probabilities)
polars.DataFrame(
    {
        "row": numpy.arange(1, rows.height + 1),
        "label": numpy.concatenate(labels),
        "probabilities_0": probability[:, 0],
        "probabilities_1": probability[:, 1],
    }
).with_columns(rows["origin"], rows["destination"]).write_parquet(target)
print(
    json.dumps(
        {
            "seconds": time.perf_counter() - began,
            "cpuSeconds": time.process_time() - cpu,
            "inferenceCpuSeconds": inference,
            "rows": rows.height,
            "peakMegabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )
)
