"""What KServe's gRPC client (PyPI) does against a server: `kserve_client.py HOST:PORT`. Prints what passed, as JSON."""

import asyncio
import json
import sys

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

url = sys.argv[1]
passed = []


async def main():
    async with InferenceGRPCClient(url) as client:
        assert await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready("identity")
        passed.extend(["is_server_live", "is_server_ready", "is_model_ready"])
        arrays = {
            "i64": (np.array([[2**62 + 1], [-1]], dtype=np.int64), "INT64"),
            "f64": (np.array([[0.1], [0.2]], dtype=np.float64), "FP64"),
            "f32": (np.array([[0.5], [-0.0]], dtype=np.float32), "FP32"),
            "text": (np.array([["a"], ["b"]], dtype=np.object_), "BYTES"),
            "flag": (np.array([[True], [False]]), "BOOL"),
            "at": (np.array([[1], [2]], dtype=np.int64), "INT64"),
            "vector": (np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32), "FP32"),
        }
        for is_raw in (False, True):
            inputs = []
            for name, (array, datatype) in arrays.items():
                tensor = InferInput(name, list(array.shape), datatype)
                if is_raw:
                    tensor.set_data_from_numpy(array, binary_data=True)
                else:
                    tensor.set_data_from_numpy(array, binary_data=False)
                inputs.append(tensor)
            response = await client.infer(InferRequest(model_name="identity", infer_inputs=inputs, request_id="mine"))
            assert (response.id, response.model_name) == ("mine", "identity"), response
            for output in response.outputs:
                expected = arrays[output.name.removesuffix("_out")][0]
                found = output.as_numpy()
                if output.datatype == "BYTES":
                    found = np.array([value.decode() if isinstance(value, bytes) else value for value in found.flat])
                    np.testing.assert_array_equal(found, expected.flat)
                else:
                    np.testing.assert_array_equal(found, expected)
            passed.append("infer raw" if is_raw else "infer typed")
        try:
            await client.is_model_ready("nobody")
            raise AssertionError("an unknown model is ready")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
            passed.append("is_model_ready unknown model")


asyncio.run(main())
print(json.dumps({"passed": passed}))
