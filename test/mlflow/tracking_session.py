"""A data scientist's session: experiment, run, model, registry, prediction. Prints what the models say, as JSON.

The arguments: the tracking URI, and a folder for files.
"""

import json
import math
import os
import sys

import mlflow
import numpy
import onnx
import pandas
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from onnx import TensorProto, helper, numpy_helper

uri, folder = sys.argv[1:3]
mlflow.set_tracking_uri(uri)
client = MlflowClient()
IS_3 = int(mlflow.__version__.split(".")[0]) >= 3


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def refusal(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        return error.error_code
    return "nothing was refused"


# Experiments
experiment_id = client.create_experiment("flights", tags={"team": "ops"})
equal(refusal(client.create_experiment, "flights"), "RESOURCE_ALREADY_EXISTS")
equal(client.get_experiment_by_name("nothing"), None)
client.set_experiment_tag(experiment_id, "goal", "delay")
experiment = client.get_experiment(experiment_id)
equal((experiment.name, experiment.tags["goal"], experiment.lifecycle_stage), ("flights", "delay", "active"))
other_id = client.create_experiment("other")
client.rename_experiment(other_id, "another")
client.delete_experiment(other_id)
equal([e.name for e in client.search_experiments(view_type=ViewType.DELETED_ONLY)], ["another"])
client.restore_experiment(other_id)
equal({e.name for e in client.search_experiments(filter_string="tags.team = 'ops'")}, {"flights"})
equal([e.name for e in client.search_experiments(order_by=["name ASC"])], ["Default", "another", "flights"])

# Runs
mlflow.set_experiment("flights")
with mlflow.start_run(run_name="first") as run:
    run_id = run.info.run_id
    mlflow.log_param("depth", 7)
    mlflow.log_params({"trees": 100, "long": "x" * 500})
    equal(refusal(client.log_param, run_id, "depth", 8), "INVALID_PARAMETER_VALUE")
    mlflow.log_metric("auc", 0.7, step=1)
    mlflow.log_metrics({"auc": 0.75, "loss": float("nan")}, step=2)
    mlflow.log_metric("worst", float("-inf"))
    mlflow.set_tag("kind", "Trees")
    mlflow.set_tags({"a.b": "dotted", "gone": "soon"})
    mlflow.delete_tag("gone")
    client.log_batch(
        run_id,
        metrics=[Metric("curve", i / 10, 1000 + i, i) for i in range(900)],
        params=[Param(f"p{i}", str(i)) for i in range(50)],
        tags=[RunTag("batched", "yes")],
    )
    mlflow.log_text("hello", "notes/deep/er/hello world.txt")
    mlflow.log_dict({"a": 1}, "notes/a.json")
    dataset = mlflow.data.from_numpy(numpy.zeros((2, 2)), name="zeros") if hasattr(mlflow, "data") else None
    if dataset is not None:
        mlflow.log_input(dataset, context="training")

run = client.get_run(run_id)
equal((run.info.status, run.info.run_name, run.data.params["depth"]), ("FINISHED", "first", "7"))
equal((run.data.metrics["auc"], run.data.metrics["worst"]), (0.75, float("-inf")))
assert math.isnan(run.data.metrics["loss"])
equal((run.data.tags["kind"], run.data.tags["a.b"], "gone" in run.data.tags), ("Trees", "dotted", False))
equal(run.inputs.dataset_inputs[0].dataset.name, "zeros")
equal([(m.step, m.value) for m in client.get_metric_history(run_id, "auc")], [(1, 0.7), (2, 0.75)])
equal(len(client.get_metric_history(run_id, "curve")), 900)
equal(sorted(f.path for f in client.list_artifacts(run_id, "notes")), ["notes/a.json", "notes/deep"])
local = client.download_artifacts(run_id, "notes", folder)
with open(os.path.join(local, "deep", "er", "hello world.txt"), encoding="utf-8") as file:
    equal(file.read(), "hello")

# Searching
with mlflow.start_run(run_name="second") as second:
    mlflow.log_metric("auc", 0.9)
    mlflow.set_tag("kind", "linear")
    mlflow.log_param("depth", 3)
with mlflow.start_run(run_name="third") as third:
    mlflow.log_metric("auc", float("nan"))


def search(filter_string="", **more):
    runs = client.search_runs([experiment_id], filter_string, **more)
    return [found.info.run_name for found in runs]


equal(search("metrics.auc > 0.8"), ["second"])
equal(search("metrics.auc >= 0.75 and params.depth = '7'"), ["first"])
equal(search("tags.kind LIKE 'T%'"), ["first"])
equal(search("tags.kind ILIKE 'L%'"), ["second"])
equal(search("tags.kind != 'linear'"), ["first"])
equal(search("attributes.run_name IN ('first', 'third')", order_by=["attributes.run_name ASC"]), ["first", "third"])
equal(search("status = 'FINISHED'", order_by=["metrics.auc DESC"]), ["second", "first", "third"])
equal(search("", order_by=["metrics.auc ASC"]), ["first", "second", "third"])
equal(search("params.trees = '100'"), ["first"])
equal(search('tags."a.b" = \'dotted\''), ["first"])
if dataset is not None:
    equal(search("datasets.name = 'zeros'"), ["first"])
    equal(search("datasets.context = 'training'"), ["first"])
for wrong in ("metrics.auc > 'x'", "wishes.x = 1", "name = ", "1 = 1; drop table mlflow_runs"):
    equal(refusal(client.search_runs, [experiment_id], wrong), "INVALID_PARAMETER_VALUE")
names, token = [], None
while True:
    page = client.search_runs([experiment_id], max_results=2, order_by=["attributes.start_time ASC"], page_token=token)
    names += [found.info.run_name for found in page]
    token = page.token
    if not token:
        break
equal(names, ["first", "second", "third"])
client.delete_run(third.info.run_id)
equal(search(run_view_type=ViewType.DELETED_ONLY), ["third"])
equal(refusal(client.set_tag, third.info.run_id, "a", "b"), "INVALID_PARAMETER_VALUE")
client.restore_run(third.info.run_id)
equal(refusal(client.get_run, "0" * 32), "RESOURCE_DOES_NOT_EXIST")

# Models
weights = numpy.array([[0.5, -1.25], [2.0, 0.75], [-0.5, 1.5]], dtype=numpy.float32)
graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["x", "w"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ],
    "linear",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
    [numpy_helper.from_array(weights, "w")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnx.checker.check_model(model)
inputs = numpy.array([[1, 2, 3], [0.5, 0, -1], [4, 4, 4], [-2, 1, 0.25]], dtype=numpy.float32)

with mlflow.start_run(run_name="model"):
    named = {"name": "model"} if IS_3 else {"artifact_path": "model"}
    info = mlflow.onnx.log_model(
        model,
        registered_model_name="delay",
        input_example=inputs,
        signature=infer_signature(inputs, numpy.zeros((4, 2), dtype=numpy.float32)),
        save_as_external_data=False,
        **named,
    )

version = client.get_model_version("delay", "1")
equal((version.status, version.status_message or ""), ("READY", ""))
client.set_registered_model_alias("delay", "champion", "1")
equal(str(client.get_model_version_by_alias("delay", "champion").version), "1")
equal(len(client.search_model_versions("name = 'delay'")), 1)
loaded = mlflow.onnx.load_model("models:/delay@champion")
equal(loaded.SerializeToString(), model.SerializeToString())
theirs = mlflow.pyfunc.load_model("models:/delay/1").predict(inputs)
probabilities = numpy.asarray(theirs["probabilities"] if isinstance(theirs, dict) else theirs)
equal(len(mlflow.pyfunc.load_model(info.model_uri).predict(inputs)), len(theirs))
if IS_3:
    found = mlflow.search_logged_models(experiment_ids=[experiment_id], output_format="list")
    equal([(m.name, str(m.status).split(".")[-1]) for m in found], [("model", "READY")])
    equal(len(client.get_run(found[0].source_run_id).outputs.model_outputs), 1)

# A model that no endpoint can serve: its graph is not one.
with open(os.path.join(folder, "broken.onnx"), "wb") as file:
    file.write(b"this is no graph")
broken = mlflow.start_run(run_name="broken")
mlflow.log_artifact(os.path.join(folder, "broken.onnx"), "plain")
mlflow.end_run()
plain = client.create_registered_model("plain")
refused = client.create_model_version("plain", f"{broken.info.artifact_uri}/plain", broken.info.run_id)
equal(refused.status, "READY")
assert refused.status_message.startswith("not servable: it has no MLmodel"), refused.status_message
equal(refusal(client.create_model_version, "plain", f"{broken.info.artifact_uri}/plain", run_id), "INVALID_PARAMETER_VALUE")

print(json.dumps({"inputs": inputs.tolist(), "probabilities": probabilities.tolist()}))
