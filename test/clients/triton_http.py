"""What tritonclient.http does, sync or aio, against a running service: prints the operations that passed as JSON.

usage: triton_http.py HOST:PORT sync|aio [CA_FILE]
The service has the models `identity` (every type) and `seven` (answers 7).
"""
import asyncio
import inspect
import json
import ssl
import sys

import numpy as np
import tritonclient.http as sync_http
import tritonclient.http.aio as aio_http
from tritonclient.utils import InferenceServerException

address, flavour = sys.argv[1:3]
ca_file = sys.argv[3] if len(sys.argv) > 3 else None
module = sync_http if flavour == "sync" else aio_http
passed = []


def tls_options():
    if ca_file is None:
        return {}
    if flavour == "sync":
        return {"ssl": True, "ssl_options": {"ca_certs": ca_file}}
    return {"ssl": True, "ssl_context": ssl.create_default_context(cafile=ca_file)}


async def result(value):
    """The clients of both flavours have the same names; one of them gives coroutines."""
    return await value if inspect.isawaitable(value) else value


def tensor(name, array, datatype, binary=True):
    one = module.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array, binary_data=binary)
    return one


ARRAYS = {
    "i64": (np.array([[9007199254740993], [-(2**63)]], dtype=np.int64), "INT64"),
    "f64": (np.array([[0.1], [1e300]]), "FP64"),
    "f32": (np.array([[0.1], [-0.0]], dtype=np.float32), "FP32"),
    "text": (np.array([["é"], [""]], dtype=np.object_), "BYTES"),
    "flag": (np.array([[True], [False]]), "BOOL"),
    "at": (np.array([[1769860800000001], [-1]], dtype=np.int64), "INT64"),
    "vector": (np.arange(6, dtype=np.float32).reshape(2, 3), "FP32"),
}


def same(found, array):
    if array.dtype == np.object_:
        return [[one.decode() if isinstance(one, bytes) else one for one in row] for row in found] == array.tolist()
    return found.dtype == array.dtype and found.tobytes() == array.tobytes()


async def infer(client, binary_in, binary_out, **more):
    inputs = [tensor(name, array, datatype, binary_in) for name, (array, datatype) in ARRAYS.items()]
    outputs = [module.InferRequestedOutput(f"{name}_out", binary_data=binary_out) for name in ARRAYS]
    answer = await result(client.infer("identity", inputs, outputs=outputs, **more))
    for name, (array, _datatype) in ARRAYS.items():
        found = answer.as_numpy(f"{name}_out")
        assert same(found, array), (name, found, array)
    return answer


async def operation(name, work):
    await work()
    passed.append(name)


async def main():
    client = module.InferenceServerClient(address, **tls_options())

    async def is_true(call):
        assert await result(call) is True

    async def metadata():
        server = await result(client.get_server_metadata())
        assert server["name"] == "assay" and "binary_tensor_data" in server["extensions"]

    async def model_metadata():
        model = await result(client.get_model_metadata("identity"))
        assert {one["name"] for one in model["inputs"]} == set(ARRAYS)

    async def model_config():
        config = await result(client.get_model_config("identity"))
        assert config["input"][0]["data_type"] == "TYPE_INT64"

    async def index():
        entries = await result(client.get_model_repository_index())
        assert {(one["name"], one["state"]) for one in entries} == {("identity", "READY"), ("seven", "READY")}

    async def refused(call, words):
        try:
            await result(call())
        except InferenceServerException as error:
            assert words in error.message(), error.message()
            return
        raise AssertionError("it was not refused")

    async def defaults():
        inputs = [tensor(name, array, datatype) for name, (array, datatype) in ARRAYS.items()]
        answer = await result(client.infer("identity", inputs))
        assert same(answer.as_numpy("vector_out"), ARRAYS["vector"][0])

    async def request_id():
        answer = await infer(client, True, True, request_id="mine")
        assert answer.get_response()["id"] == "mine"

    async def classification():
        inputs = [tensor(name, array, datatype) for name, (array, datatype) in ARRAYS.items()]
        wanted = [module.InferRequestedOutput("vector_out", class_count=2)]
        answer = await result(client.infer("identity", inputs, outputs=wanted))
        assert answer.as_numpy("vector_out").tolist() == [[b"2.000000:2", b"1.000000:1"], [b"5.000000:2", b"4.000000:1"]]

    async def large():
        rows = 3000
        one = tensor("x", np.arange(rows, dtype=np.float32).reshape(rows, 1), "FP32")
        answer = await result(client.infer("seven", [one], response_compression_algorithm="gzip"))
        assert (answer.as_numpy("version") == 7).all() and answer.as_numpy("version").shape == (rows, 1)

    async def statistics():
        stats = await result(client.get_inference_statistics("identity"))
        one = stats["model_stats"][0]
        assert one["inference_stats"]["success"]["count"] > 0 and one["inference_count"] > one["execution_count"]
        assert len((await result(client.get_inference_statistics()))["model_stats"]) == 2

    await operation("is_server_live", lambda: is_true(client.is_server_live()))
    await operation("is_server_ready", lambda: is_true(client.is_server_ready()))
    await operation("is_model_ready", lambda: is_true(client.is_model_ready("identity")))
    await operation("is_model_ready, version", lambda: is_true(client.is_model_ready("identity", "1")))
    await operation("get_server_metadata", metadata)
    await operation("get_model_metadata", model_metadata)
    await operation("get_model_config", model_config)
    await operation("get_model_repository_index", index)
    await operation("load_model: refused, the registry is named", lambda: refused(lambda: client.load_model("seven"), "registry"))
    await operation("unload_model: refused, the registry is named", lambda: refused(lambda: client.unload_model("seven"), "registry"))
    await operation("infer, as it comes", defaults)
    for binary_in in (True, False):
        for binary_out in (True, False):
            words = f"infer, {'binary' if binary_in else 'JSON'} in, {'binary' if binary_out else 'JSON'} out"
            await operation(words, lambda i=binary_in, o=binary_out: infer(client, i, o))
    await operation("infer, version", lambda: infer(client, True, True, model_version="1"))
    await operation("infer, request id", request_id)
    for algorithm in ("gzip", "deflate"):
        await operation(
            f"infer, {algorithm}",
            lambda a=algorithm: infer(client, True, True, request_compression_algorithm=a, response_compression_algorithm=a),
        )
    await operation("infer, an answer that is compressed", large)
    await operation("infer, classification", classification)
    await operation("infer, unknown model: refused", lambda: refused(lambda: client.infer("nothing", []), "nothing"))
    await operation("get_inference_statistics", statistics)
    if flavour == "sync":
        inputs = [tensor(name, array, datatype) for name, (array, datatype) in ARRAYS.items()]

        async def async_infer():
            answer = client.async_infer("identity", inputs).get_result()
            assert same(answer.as_numpy("i64_out"), ARRAYS["i64"][0])

        await operation("async_infer", async_infer)
    await result(client.close())
    print(json.dumps(passed))


asyncio.run(main())
