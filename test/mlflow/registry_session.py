"""The registry of MLflow, as its Python client uses it. The first argument is the tracking URI."""

import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()


def refusal(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        return error.error_code
    return "nothing was refused"


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


client.create_registered_model("fraud", tags={"team": "risk"}, description="Card fraud")
model = client.get_registered_model("fraud")
equal((model.name, model.description, model.tags), ("fraud", "Card fraud", {"team": "risk"}))
equal(refusal(client.create_registered_model, "fraud"), "RESOURCE_ALREADY_EXISTS")
equal(refusal(client.get_registered_model, "nobody"), "RESOURCE_DOES_NOT_EXIST")
equal(refusal(client.create_registered_model, "no/slashes"), "INVALID_PARAMETER_VALUE")

client.update_registered_model("fraud", description="Card fraud, by merchant")
client.set_registered_model_tag("fraud", "tier", "1")
client.set_registered_model_tag("fraud", "tier", "2")
client.delete_registered_model_tag("fraud", "team")
equal(client.get_registered_model("fraud").tags, {"tier": "2"})

# Nothing was logged here: the version is there, and no endpoint can serve it.
first = client.create_model_version("fraud", "s3://elsewhere/model", tags={"stage": "dev"}, description="one")
equal((first.version, first.status, first.tags), ("1" if isinstance(first.version, str) else 1, "READY", {"stage": "dev"}))
assert first.status_message.startswith("not servable: "), first.status_message
second = client.create_model_version("fraud", "s3://elsewhere/model")
equal(refusal(client.create_model_version, "fraud", "file:///etc"), "INVALID_PARAMETER_VALUE")
equal(refusal(client.create_model_version, "fraud", "mlflow-artifacts:/0/../x"), "INVALID_PARAMETER_VALUE")

client.update_model_version("fraud", "1", description="the first")
client.set_model_version_tag("fraud", "1", "checked", "yes")
client.delete_model_version_tag("fraud", "1", "stage")
found = client.get_model_version("fraud", "1")
equal((found.description, found.tags), ("the first", {"checked": "yes"}))

client.set_registered_model_alias("fraud", "champion", "1")
client.set_registered_model_alias("fraud", "champion", "2")
client.set_registered_model_alias("fraud", "challenger", "1")
equal(str(client.get_model_version_by_alias("fraud", "champion").version), "2")
equal({k: str(v) for k, v in client.get_registered_model("fraud").aliases.items()}, {"champion": "2", "challenger": "1"})
equal(refusal(client.get_model_version_by_alias, "fraud", "nobody"), "INVALID_PARAMETER_VALUE")
equal(refusal(client.set_registered_model_alias, "fraud", "v3", "1"), "INVALID_PARAMETER_VALUE")
equal(refusal(client.set_registered_model_alias, "fraud", "champion", "9"), "RESOURCE_DOES_NOT_EXIST")
client.delete_registered_model_alias("fraud", "challenger")
client.delete_registered_model_alias("fraud", "challenger")

client.transition_model_version_stage("fraud", "1", "Production")
client.transition_model_version_stage("fraud", "2", "Production", archive_existing_versions=True)
equal(client.get_model_version("fraud", "1").current_stage, "Archived")
equal([str(v.version) for v in client.get_latest_versions("fraud", ["Production"])], ["2"])

for name in ("alpha", "beta", "gamma"):
    client.create_registered_model(name, tags={"kind": "greek"})
equal([m.name for m in client.search_registered_models("tags.kind = 'greek'")], ["alpha", "beta", "gamma"])
equal([m.name for m in client.search_registered_models("name LIKE 'A%'")], [])
equal([m.name for m in client.search_registered_models("name ILIKE 'A%'")], ["alpha"])
equal([m.name for m in client.search_registered_models("name LIKE '%a'", order_by=["name DESC"])], ["gamma", "beta", "alpha"])
equal(refusal(client.search_registered_models, "name ~ 'x'"), "INVALID_PARAMETER_VALUE")
equal(len(client.search_registered_models("name = 'x'' OR 1=1 --'")), 0)
names, token = [], None
while True:
    page = client.search_registered_models(max_results=2, page_token=token)
    names += [m.name for m in page]
    token = page.token
    if not token:
        break
equal(names, ["alpha", "beta", "fraud", "gamma"])
equal(sorted(str(v.version) for v in client.search_model_versions("name='fraud'")), ["1", "2"])
equal([str(v.version) for v in client.search_model_versions("tags.checked = 'yes'")], ["1"])

client.rename_registered_model("gamma", "delta")
equal(refusal(client.get_registered_model, "gamma"), "RESOURCE_DOES_NOT_EXIST")
client.delete_model_version("fraud", "2")
equal(refusal(client.get_model_version, "fraud", "2"), "RESOURCE_DOES_NOT_EXIST")
equal(refusal(client.get_model_version_by_alias, "fraud", "champion"), "INVALID_PARAMETER_VALUE")
third = client.create_model_version("fraud", "s3://elsewhere/model")
equal(str(third.version), "3")
client.delete_registered_model("fraud")
equal(refusal(client.get_registered_model, "fraud"), "RESOURCE_DOES_NOT_EXIST")
client.create_registered_model("fraud")
again = client.create_model_version("fraud", "s3://elsewhere/model")
equal(str(again.version), "1")
print("the session ended well")
