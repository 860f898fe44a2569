"""Trains with XGBoost's own Python package on rows in a JSON file; prints log losses, rounds and predictions as JSON."""

import json
import sys

import numpy
import pandas
import xgboost

with open(sys.argv[1], encoding="utf-8") as file:
    given = json.load(file)


def frame(part):
    columns = {}
    for name, values, categories in zip(given["names"], part["columns"], given["categories"], strict=True):
        if categories is None:
            columns[name] = numpy.array([numpy.nan if value is None else value for value in values], dtype="float64")
        else:
            columns[name] = pandas.Categorical.from_codes(values, categories=range(categories))
    return pandas.DataFrame(columns)


def matrix(part, reference=None):
    return xgboost.QuantileDMatrix(frame(part), part["labels"], enable_categorical=True, ref=reference)


train = matrix(given["train"])
evaluated = {}
booster = xgboost.train(
    {"objective": "binary:logistic", "tree_method": "hist", **given["params"]},
    train,
    num_boost_round=given["rounds"],
    evals=[(matrix(given["validation"], train), "validation")],
    early_stopping_rounds=given["earlyStoppingRounds"],
    evals_result=evaluated,
    verbose_eval=False,
)
rounds = booster.best_iteration + 1
test = xgboost.DMatrix(frame(given["test"]), enable_categorical=True)
print(
    json.dumps(
        {
            "version": xgboost.__version__,
            "logLosses": evaluated["validation"]["logloss"],
            "rounds": rounds,
            "predictions": [float(value) for value in booster.predict(test, iteration_range=(0, rounds))],
        }
    )
)
