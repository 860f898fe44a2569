"""The baseline of the training benchmark: pandas and LightGBM, one thread. Prints {"seconds", "auc"} as its last line."""

import json
import sys
import time

import lightgbm
import pandas

path, options = sys.argv[1], json.loads(sys.argv[2])
began = time.perf_counter()
rows = pandas.read_csv(path, keep_default_na=False, na_values=[""])
for name in options["categories"]:
    rows[name] = rows[name].astype("category")
parts = {name: part for name, part in rows.groupby("part")}
features = [name for name in rows.columns if name not in ("target", "part")]


def dataset(name, reference=None):
    part = parts[name]
    return lightgbm.Dataset(part[features], part["target"], reference=reference, free_raw_data=False)


train = dataset("train")
callbacks = []
if options["earlyStoppingRounds"]:
    callbacks.append(lightgbm.early_stopping(options["earlyStoppingRounds"], verbose=False))
booster = lightgbm.train(
    {"objective": "binary", "num_threads": 1, "verbosity": -1, "seed": options["seed"], **options["params"]},
    train,
    num_boost_round=options["rounds"],
    valid_sets=[dataset("validation", train)],
    callbacks=callbacks,
)
test = parts["test"]
scores = pandas.Series(booster.predict(test[features], num_iteration=booster.best_iteration))
target = test["target"].reset_index(drop=True)
ranks = scores.rank()
positives = int(target.sum())
negatives = len(target) - positives
auc = (ranks[target == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives)
print(json.dumps({"seconds": time.perf_counter() - began, "auc": float(auc)}))
