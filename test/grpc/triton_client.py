"""What tritonclient.grpc (PyPI), sync and aio, does against a server: `triton_client.py HOST:PORT [CA_FILE]`.

Prints a JSON object: the operations that passed, and those that the server refuses by its status, in the order of their
names. Anything else fails.
"""

import asyncio
import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

url = sys.argv[1]
tls = {"ssl": True, "root_certificates": sys.argv[2]} if len(sys.argv) > 2 else {}
passed, refused = [], {}

TENSORS = {
    "i64": (np.array([[2**62 + 1], [-1]], dtype=np.int64), "INT64"),
    "f64": (np.array([[0.1], [np.nan]], dtype=np.float64), "FP64"),
    "f32": (np.array([[0.5], [-0.0]], dtype=np.float32), "FP32"),
    "text": (np.array([["é".encode()], [b""]], dtype=np.object_), "BYTES"),
    "flag": (np.array([[True], [False]]), "BOOL"),
    "at": (np.array([[1], [2]], dtype=np.int64), "INT64"),
    "vector": (np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32), "FP32"),
}


def inputs_of(module):
    made = []
    for name, (array, datatype) in TENSORS.items():
        tensor = module.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        made.append(tensor)
    return made


def check(result, request_id):
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("identity", "1", request_id), response
    for name, (array, _) in TENSORS.items():
        np.testing.assert_array_equal(result.as_numpy(f"{name}_out"), array)


def expect_error(code, text):
    def judge(error):
        assert isinstance(error, InferenceServerException), error
        assert code in str(error.status()) and text in error.message(), error

    return judge


NOT_FOUND = expect_error("NOT_FOUND", 'there is no endpoint "nobody"')


def sync():
    with triton.InferenceServerClient(url, **tls) as client:
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("identity") and client.is_model_ready("identity", "1")
        passed.extend(["is_server_live", "is_server_ready", "is_model_ready"])
        assert client.get_server_metadata(as_json=True)["name"] == "assay"
        assert client.get_model_metadata("identity", as_json=True)["inputs"][6]["shape"] == ["-1", "3"]
        assert client.get_model_repository_index(as_json=True)["models"][0]["state"] == "READY"
        passed.extend(["get_server_metadata", "get_model_metadata", "get_model_repository_index"])

        for compression in (None, "gzip", "deflate"):
            check(client.infer("identity", inputs_of(triton), request_id="é", compression_algorithm=compression), "é")
            passed.append(f"infer compression={compression}")
        wanted = [triton.InferRequestedOutput("at_out"), triton.InferRequestedOutput("text_out")]
        chosen = client.infer("identity", inputs_of(triton), model_version="1", outputs=wanted, client_timeout=10)
        assert [output.name for output in chosen.get_response().outputs] == ["at_out", "text_out"]
        passed.append("infer outputs model_version client_timeout")
        classes = client.infer(
            "identity", inputs_of(triton), outputs=[triton.InferRequestedOutput("vector_out", class_count=2)]
        )
        best = classes.as_numpy("vector_out").tolist()
        assert best == [[b"3.000000:2", b"2.000000:1"], [b"6.000000:2", b"5.000000:1"]], best
        passed.append("infer classification")
        try:
            client.infer("nobody", inputs_of(triton))
            raise AssertionError("an unknown model was scored")
        except InferenceServerException as error:
            NOT_FOUND(error)
            passed.append("infer unknown model")

        answers = queue.Queue()
        client.async_infer("identity", inputs_of(triton), lambda result, error: answers.put((result, error)), request_id="a")
        result, error = answers.get(timeout=10)
        assert error is None, error
        check(result, "a")
        passed.append("async_infer")

        client.start_stream(lambda result, error: answers.put((result, error)))
        for i in range(200):
            client.async_stream_infer("nobody" if i == 100 else "identity", inputs_of(triton), request_id=str(i))
        for i in range(200):
            result, error = answers.get(timeout=10)
            if i == 100:
                assert 'there is no endpoint "nobody"' in error.message(), error
            else:
                assert error is None, error
                check(result, str(i))
        client.stop_stream()
        passed.append("start_stream async_stream_infer stop_stream")

        statistics = client.get_inference_statistics("identity", "1", as_json=True)["model_stats"][0]
        assert statistics["name"] == "identity" and int(statistics["inference_count"]) > 200, statistics
        parts = ["queue", "compute_input", "compute_infer"]
        timings = statistics["inference_stats"]
        assert int(timings["success"]["ns"]) >= sum(int(timings[part].get("ns", 0)) for part in parts) - 1000, timings
        assert len(client.get_inference_statistics().model_stats) == 1
        passed.append("get_inference_statistics")

        config = client.get_model_config("identity", as_json=True)["config"]
        assert (config["name"], config["platform"], config["max_batch_size"]) == ("identity", "onnxruntime_onnx", 64), config
        assert {"name": "vector", "data_type": "TYPE_FP32", "dims": ["3"]} in config["input"], config
        assert {"name": "text_out", "data_type": "TYPE_STRING", "dims": ["1"]} in config["output"], config
        passed.append("get_model_config")

        for name, call in {
            "load_model": lambda: client.load_model("identity"),
            "unload_model": lambda: client.unload_model("identity"),
            "get_trace_settings": client.get_trace_settings,
            "get_log_settings": client.get_log_settings,
            "get_system_shared_memory_status": client.get_system_shared_memory_status,
            "get_cuda_shared_memory_status": client.get_cuda_shared_memory_status,
        }.items():
            try:
                call()
                raise AssertionError(f"{name} is answered: list it as passed")
            except InferenceServerException as error:
                refused[name] = str(error.status())


async def asynchronous():
    async with triton_aio.InferenceServerClient(url, **tls) as client:
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("identity")
        assert (await client.get_model_metadata("identity")).name == "identity"
        passed.extend(["aio is_server_live", "aio is_server_ready", "aio is_model_ready", "aio get_model_metadata"])
        results = await asyncio.gather(
            *[client.infer("identity", inputs_of(triton_aio), request_id=str(i)) for i in range(50)]
        )
        for i, result in enumerate(results):
            check(result, str(i))
        passed.append("aio infer")

        async def requests():
            for i in range(50):
                yield {"model_name": "identity", "inputs": inputs_of(triton_aio), "request_id": str(i)}

        i = 0
        async for result, error in client.stream_infer(requests()):
            assert error is None, error
            check(result, str(i))
            i += 1
        assert i == 50, i
        passed.append("aio stream_infer")


sync()
asyncio.run(asynchronous())
print(json.dumps({"passed": passed, "refused": refused}))
