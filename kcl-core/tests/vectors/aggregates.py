#!/usr/bin/env python3
"""Writes aggregates.json: records as the public package aws-kinesis-agg aggregates them.

    python3 -m venv v && v/bin/pip install aws-kinesis-agg==1.2.3 six
    v/bin/python kcl-core/tests/vectors/aggregates.py

With --check it compares instead, and takes apart with that package what the file has.
"""
import base64
import json
import pathlib
import sys

from aws_kinesis_agg.aggregator import AggRecord
from aws_kinesis_agg.deaggregator import deaggregate_records

FILE = pathlib.Path(__file__).with_suffix(".json")
LARGEST = str(2**128 - 1)

CASES = {
    "two keys": [("ann", None, b"one"), ("bob", None, b"two")],
    "one key for all": [("key", None, bytes([n])) for n in range(5)],
    "explicit hash keys": [("a", "0", b"low"), ("b", LARGEST, b"high"), ("c", None, b"hashed"), ("a", "0", b"low again")],
    "empty payloads": [("k", None, b""), ("k", None, b"")],
    "keys of more than one byte a letter": [("schlüssel", None, b"\x00\xff"), ("鍵", None, "値".encode())],
    "lengths and places of two bytes": [(f"key {n:03}", str(n * 10**36), b"x" * (n == 130 and 130)) for n in range(131)],
    "a payload that is an aggregate's mark": [("k", None, bytes.fromhex("f3899ac2")), ("k", None, b"f")],
}


def aggregate(records):
    whole = AggRecord()
    for key, hash_key, data in records:
        assert whole.add_user_record(key, data, hash_key)
    return whole.get_contents()[2]


def vector(name, records):
    listed = [{"partition_key": k, "explicit_hash_key": h, "data": d.hex()} for k, h, d in records]
    return {"name": name, "records": listed, "bytes": aggregate(records).hex()}


def apart(case):
    data = base64.b64encode(bytes.fromhex(case["bytes"])).decode()
    outer = {"kinesis": {"data": data, "partitionKey": "a", "sequenceNumber": "1", "kinesisSchemaVersion": "1.0"},
             "eventID": "x", "eventVersion": "1.0", "eventName": "x", "invokeIdentityArn": "x", "awsRegion": "x",
             "eventSource": "x", "eventSourceARN": "x"}
    outer["kinesis"]["approximateArrivalTimestamp"] = 1.5
    inner = deaggregate_records([outer])
    return [(r["kinesis"]["partitionKey"], base64.b64decode(r["kinesis"]["data"]).hex()) for r in inner]


vectors = [vector(name, records) for name, records in CASES.items()]
if "--check" in sys.argv:
    kept = json.loads(FILE.read_text())
    assert kept == vectors, "aggregates.json is not what the package makes"
    for case in kept:
        assert apart(case) == [(r["partition_key"], r["data"]) for r in case["records"]], case["name"]
    print(f"{len(kept)} vectors are as the package makes and reads them")
else:
    FILE.write_text("[\n" + ",\n".join(json.dumps(v, ensure_ascii=False) for v in vectors) + "\n]\n")
