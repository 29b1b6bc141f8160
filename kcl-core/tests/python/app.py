"""A function for tests/lambda_python.rs: does what its records say."""
import base64
import time


def handler(event, context):
    assert context.aws_request_id == "8476a536"
    assert 0 < context.get_remaining_time_in_millis() <= 2000
    failed = []
    for record in event["Records"]:
        text = base64.b64decode(record["kinesis"]["data"]).decode()
        if text == "raise":
            raise RuntimeError("as told")
        if text == "hang":
            time.sleep(600)
        if text == "bad":
            failed.append({"itemIdentifier": record["kinesis"]["sequenceNumber"]})
    return {"batchItemFailures": failed}
