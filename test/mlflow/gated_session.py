"""What MLflow's client is told where a model has gates. Arguments: the tracking URI, and the key of somebody who may approve."""

import json
import sys
from urllib.request import Request, urlopen

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

uri, approver = sys.argv[1:]
client = MlflowClient(tracking_uri=uri)


def refusal(call, *args):
    try:
        call(*args)
    except MlflowException as error:
        assert error.error_code == "PERMISSION_DENIED", error.error_code
        return str(error)
    raise AssertionError("nothing was refused")


def version(auc):
    run = client.create_run("0").info.run_id
    client.log_metric(run, "auc", auc)
    return str(client.create_model_version("fraud", "s3://elsewhere/model", run_id=run).version)


def approve(number):
    request = Request(f"{uri}/v1/models/fraud/versions/{number}/approvals", data=b"{}", method="POST")
    request.add_header("authorization", f"Bearer {approver}")
    request.add_header("content-type", "application/json")
    return json.load(urlopen(request))["principal"]


worse, better = version(0.6), version(0.8)
for call, target in (
    (client.set_registered_model_alias, ("fraud", "champion", worse)),
    (client.transition_model_version_stage, ("fraud", worse, "Production")),
):
    told = refusal(call, *target)
    assert "gates.approvals: required: 1, by principals other than ada" in told, told
    assert "gates.metrics.auc: required: 0.7 at least; there is: 0.6" in told, told
assert client.get_registered_model("fraud").aliases == {}

assert approve(better) == "bob"
client.set_registered_model_alias("fraud", "champion", better)
client.transition_model_version_stage("fraud", better, "Production")
client.transition_model_version_stage("fraud", worse, "Staging")
print(client.get_model_version_by_alias("fraud", "champion").version)
