"""Loads a package folder with mlflow.pyfunc, scores a DataFrame, prints the probabilities as JSON."""

import json
import sys

import mlflow.pyfunc
import pandas

folder, records_file = sys.argv[1:]
with open(records_file, encoding="utf-8") as file:
    frame = pandas.DataFrame(json.load(file))
model = mlflow.pyfunc.load_model(folder)
schema = {spec.name: spec.type for spec in model.metadata.get_input_schema()}
for name, dtype in schema.items():
    if dtype.kind in "if":
        frame[name] = frame[name].astype(dtype)
outputs = model.predict(frame[list(schema)])
probabilities = outputs["probabilities"]
print(json.dumps([[float(value) for value in row] for row in probabilities]))
