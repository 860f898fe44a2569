"""Starts a run with the key that the environment names, and prints whose it is. The argument is the tracking URI."""

import sys

from mlflow import MlflowClient

client = MlflowClient(tracking_uri=sys.argv[1])
run = client.create_run("0")
print(client.get_run(run.info.run_id).info.user_id)
