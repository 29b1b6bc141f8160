"""Looks for boto3's exceptions behind the service's errors. Moves the clock, so it is last."""

import os
import subprocess

import boto3
from botocore.exceptions import ClientError
from generations import check, wait_until_active

SHARD = "shardId-000000000000"


def refuses(kind, call, **arguments):
    try:
        call(**arguments)
    except kind as refusal:
        check(f"{call.__name__} is refused with {kind.__name__}", True)
        return refusal
    raise AssertionError(f"{call.__name__} is not refused")


def advance(by):
    """Moves the emulator's clock."""
    moved = subprocess.run([os.environ["INTEROP_ADVANCE"], by], capture_output=True)
    check("the emulator's clock can be moved", moved.returncode == 0, moved)


def run(client, stream):
    kinds = client.exceptions
    refuses(kinds.ResourceNotFoundException, client.describe_stream, StreamName="missing")
    client.create_stream(StreamName=stream, ShardCount=1)
    refuses(kinds.ResourceInUseException, client.create_stream, StreamName=stream, ShardCount=1)
    wait_until_active(client, stream)
    refuses(
        kinds.InvalidArgumentException,
        client.split_shard,
        StreamName=stream,
        ShardToSplit=SHARD,
        NewStartingHashKey="0",
    )
    refuses(
        kinds.ValidationException,
        client.put_record,
        StreamName=stream,
        PartitionKey="k" * 257,
        Data=b"x",
    )
    iterator = client.get_shard_iterator(
        StreamName=stream, ShardId=SHARD, ShardIteratorType="LATEST"
    )["ShardIterator"]
    client.create_stream(StreamName=f"{stream}-pages", ShardCount=2)
    wait_until_active(client, f"{stream}-pages")
    token = client.list_shards(StreamName=f"{stream}-pages", MaxResults=1)["NextToken"]
    client.get_records(ShardIterator=iterator)
    advance("301s")
    refuses(kinds.ExpiredIteratorException, client.get_records, ShardIterator=iterator)
    refuses(kinds.ExpiredNextTokenException, client.list_shards, NextToken=token)
    if "INTEROP_SIGNED" in os.environ:
        signatures(client)
    else:
        retention(client, stream)


def signatures(client):
    key = os.environ["AWS_ACCESS_KEY_ID"]
    for key, secret, expected in [
        (key, "wrong", "InvalidSignatureException"),
        ("AKIANOBODY", "secret", "UnrecognizedClientException"),
    ]:
        stranger = boto3.client("kinesis", aws_access_key_id=key, aws_secret_access_key=secret)
        code = refuses(ClientError, stranger.list_streams).response["Error"]["Code"]
        check(f"{expected} for a wrong secret or key", code == expected, code)
    # This SDK does not correct its clock by the service's, so its signatures are too old then.
    advance("1h")
    refusal = refuses(ClientError, client.list_streams).response["Error"]
    is_expired = "Signature expired" in refusal["Message"]
    check("an old signature is refused", is_expired, refusal)


def retention(client, stream):
    """A day later a record is gone."""
    client.put_record(StreamName=stream, PartitionKey="k", Data=b"old")
    advance("24h 1s")
    client.put_record(StreamName=stream, PartitionKey="k", Data=b"new")
    iterator = client.get_shard_iterator(
        StreamName=stream, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    found = [record["Data"] for record in client.get_records(ShardIterator=iterator)["Records"]]
    check("records are kept for the retention period", found == [b"new"], found)
