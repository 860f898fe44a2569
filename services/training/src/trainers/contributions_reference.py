"""Trains LightGBM or XGBoost by their own packages; prints the model and its SHAP contributions of the test rows as JSON."""

import json
import sys

import numpy

with open(sys.argv[1], encoding="utf-8") as file:
    given = json.load(file)


def matrix(columns):
    values = [[numpy.nan if value is None else value for value in column] for column in columns]
    return numpy.array(values, dtype="float64").T


train, labels, test = matrix(given["train"]["columns"]), given["train"]["labels"], matrix(given["test"]["columns"])
if given["library"] == "lightgbm":
    import lightgbm

    data = lightgbm.Dataset(train, labels, categorical_feature=given["categorical"], params={"verbosity": -1})
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, **given["params"]}, data, 60)
    model = booster.dump_model()
    contributions = booster.predict(test, pred_contrib=True)
    raw = booster.predict(test, raw_score=True)
else:
    import xgboost

    kinds = ["c" if i in given["categorical"] else "float" for i in range(train.shape[1])]

    def dmatrix(values, labels=None):
        return xgboost.DMatrix(values, labels, feature_types=kinds, enable_categorical=True)

    parameters = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1, **given["params"]}
    booster = xgboost.train(parameters, dmatrix(train, labels), 60)
    model = json.loads(bytes(booster.save_raw("json")))
    contributions = booster.predict(dmatrix(test), pred_contribs=True)
    raw = booster.predict(dmatrix(test), output_margin=True)
print(json.dumps({"model": model, "contributions": contributions.tolist(), "rawScores": raw.tolist()}))
