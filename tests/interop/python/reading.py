"""Payloads, and the positions that a read can start from."""

import time

from generations import check, is_now, wait_until_active

SHARD = "shardId-000000000000"
KEY = "ключ-🔑"


def run(client, stream):
    client.create_stream(StreamName=stream, ShardCount=1)
    wait_until_active(client, stream)
    arn = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    payloads = [b"first", bytes(range(256)), b"", bytes(1_000_000)]
    sequences = []
    for index, data in enumerate(payloads):
        if index == 2:
            time.sleep(1.01)  # boto3 sends whole seconds for AT_TIMESTAMP
        put = client.put_record(StreamARN=arn, PartitionKey=KEY, Data=data)
        sequences.append(put["SequenceNumber"])

    def read(kind, **position):
        iterator = client.get_shard_iterator(
            StreamARN=arn, ShardId=SHARD, ShardIteratorType=kind, **position
        )["ShardIterator"]
        page = client.get_records(ShardIterator=iterator)
        check("who has read all is not behind", page["MillisBehindLatest"] == 0, page)
        return page["Records"]

    everything = read("TRIM_HORIZON")

    def starts_at(index, kind, **position):
        found = [record["SequenceNumber"] for record in read(kind, **position)]
        check(f"{kind} starts at its record", found == sequences[index:], found)

    starts_at(0, "TRIM_HORIZON")
    for record, data in zip(everything, payloads, strict=True):
        is_same = record["Data"] == data and record["PartitionKey"] == KEY
        check("a payload and its key come back as they were put", is_same, record["PartitionKey"])
        arrival = record["ApproximateArrivalTimestamp"]
        check("an arrival time is of just now", is_now(arrival), arrival)
    starts_at(2, "AT_TIMESTAMP", Timestamp=everything[2]["ApproximateArrivalTimestamp"])
    starts_at(1, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=sequences[1])
    starts_at(2, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=sequences[1])
    check("LATEST starts behind all", read("LATEST") == [])
