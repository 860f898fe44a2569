"""What KServe's REST client does against a running service: prints the operations that passed as JSON.

usage: kserve_rest.py URL
The service has the models `identity` (every type) and `seven` (answers 7).
"""
import asyncio
import json
import sys

import numpy as np
from kserve import InferInput, InferRequest, RESTConfig
from kserve.inference_client import InferenceRESTClient

url = sys.argv[1]
passed = []


async def main():
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    assert await client.is_server_live(url)
    passed.append("is_server_live")
    assert await client.is_server_ready(url)
    passed.append("is_server_ready")
    assert await client.is_model_ready(url, "seven")
    passed.append("is_model_ready")
    for binary in (False, True):
        one = InferInput("x", [2, 1], "FP32")
        one.set_data_from_numpy(np.array([[1], [2]], dtype=np.float32), binary_data=binary)
        request = InferRequest("seven", [one], request_id="mine")
        answer = await client.infer(url, request, model_name="seven")
        assert answer.id == "mine" and answer.outputs[0].as_numpy().tolist() == [[7], [7]], answer
        passed.append(f"infer, {'binary' if binary else 'JSON'}")
    try:
        bad = InferInput("x", [1, 1], "FP64")
        bad.set_data_from_numpy(np.array([[1.0]]), binary_data=False)
        await client.infer(url, InferRequest("seven", [bad]), model_name="seven")
        raise AssertionError("it was not refused")
    except Exception as error:
        assert "FP64" in str(error), error
    passed.append("infer, a wrong datatype: refused with the reason")
    await client.close()
    print(json.dumps(passed))


asyncio.run(main())
