"""Producers, reshards and readers at the same time; then every record must have been read once.

Producers write numbered records to their own keys while the stream is split, merged and resized.
Two readers start before them, one by GetRecords and one by SubscribeToShard, and follow the shards
from generation to generation: a child is read when all its parents have been read to their ends.
"""

import os
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime, timezone

END = "end"  # The partition key of the last record of each open shard.


def number(name):
    return int(os.environ[name])


def check(what, holds, detail=""):
    """One line for each thing that was checked; the first that does not hold ends the program."""
    if not holds:
        raise AssertionError(f"{what}: {detail}")
    print(f"ok {what}", flush=True)


def eventually(what, probe):
    """The first result of `probe` that is not false."""
    deadline = time.monotonic() + number("PATIENCE_SECONDS")
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited too long for {what}")
        time.sleep(0.02)
    return found


def is_now(moment):
    age = datetime.now(timezone.utc) - moment
    return abs(age.total_seconds()) < number("CLOCK_SLACK_SECONDS")


class Ledger:
    """What the producers were told about each record, and whether they are to go on."""

    def __init__(self):
        self.lock = threading.Lock()
        self.placed = {}  # (shard, sequence number) -> (key, number)
        self.counts = {}  # key -> how many
        self.is_done = False

    def note(self, key, answer):
        with self.lock:
            place = (answer["ShardId"], answer["SequenceNumber"])
            assert place not in self.placed, f"two records at {place}"
            self.placed[place] = (key, self.counts.get(key, 0))
            self.counts[key] = self.counts.get(key, 0) + 1

    def next(self, key):
        return f"{key}/{self.counts.get(key, 0)}".encode()

    def wait_for_a_generation(self):
        wanted = len(self.placed) + number("RECORDS_PER_GENERATION")
        eventually("producers", lambda: len(self.placed) >= wanted)


def produce(client, stream, ledger, producer):
    """Rounds of one record for each key; the first producer sends each by itself."""
    keys = [f"producer-{producer}-key-{key}" for key in range(number("KEYS_PER_PRODUCER"))]
    while not ledger.is_done:
        records = [{"PartitionKey": key, "Data": ledger.next(key)} for key in keys]
        if producer == 0:
            answers = [client.put_record(StreamName=stream, **record) for record in records]
        else:
            answer = client.put_records(StreamName=stream, Records=records)
            assert answer["FailedRecordCount"] == 0, answer
            answers = answer["Records"]
        for key, answer in zip(keys, answers):
            ledger.note(key, answer)


def open_shards(client, stream):
    shards = client.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    return {shard["ShardId"]: shard for shard in shards}


def wait_until_active(client, stream):
    def status():
        summary = client.describe_stream_summary(StreamName=stream)
        return summary["StreamDescriptionSummary"]["StreamStatus"]

    eventually("ACTIVE", lambda: status() == "ACTIVE")


def reshard(client, stream, ledger):
    """Split, merge, UpdateShardCount, with records before, between and after."""
    first, second, third, fourth, fifth = (f"shardId-{index:012}" for index in range(5))
    shards = open_shards(client, stream)
    check("the stream starts with its shards", list(shards) == [first, second], shards)
    middle = (int(shards[first]["HashKeyRange"]["EndingHashKey"]) + 1) // 2

    ledger.wait_for_a_generation()
    client.split_shard(StreamName=stream, ShardToSplit=first, NewStartingHashKey=str(middle))
    wait_until_active(client, stream)
    shards = open_shards(client, stream)
    check("a split leaves two children", list(shards) == [second, third, fourth], shards)

    ledger.wait_for_a_generation()
    client.merge_shards(StreamName=stream, ShardToMerge=fourth, AdjacentShardToMerge=second)
    wait_until_active(client, stream)
    shards = open_shards(client, stream)
    check("a merge leaves one child", list(shards) == [third, fifth], shards)
    merged = shards[fifth]
    parents = (merged["ParentShardId"], merged["AdjacentParentShardId"])
    check("a merged shard names both parents", parents == (fourth, second), merged)

    ledger.wait_for_a_generation()
    count = number("SHARDS_AT_END")
    client.update_shard_count(
        StreamName=stream, TargetShardCount=count, ScalingType="UNIFORM_SCALING"
    )
    wait_until_active(client, stream)
    shards = open_shards(client, stream)
    check("UpdateShardCount leaves the wanted number", len(shards) == count, shards)
    ledger.wait_for_a_generation()
    ledger.is_done = True


def follow(roots, read_shard):
    """Reads all shards; `read_shard` returns the children at the end of a closed one."""
    finished = set()
    with ThreadPoolExecutor(max_workers=32) as pool:
        reading = {pool.submit(read_shard, shard): shard for shard in roots}
        while reading:
            for future in wait(reading, return_when=FIRST_COMPLETED).done:
                finished.add(reading.pop(future))
                for child in future.result():
                    if finished.issuperset(child["ParentShards"]):
                        reading[pool.submit(read_shard, child["ShardId"])] = child["ShardId"]


def by_get_records(client, stream, seen):
    def read_shard(shard):
        iterator = client.get_shard_iterator(
            StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            page = client.get_records(ShardIterator=iterator, Limit=50)
            for record in page["Records"]:
                if record["PartitionKey"] == END:
                    return []
                seen.append((shard, record))
            assert ("NextShardIterator" in page) != ("ChildShards" in page), page
            if "ChildShards" in page:
                return page["ChildShards"]
            iterator = page["NextShardIterator"]
            if not page["Records"]:
                time.sleep(0.05)

    return read_shard


def by_subscription(client, consumer, seen):
    def read_shard(shard):
        answer = client.subscribe_to_shard(
            ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "TRIM_HORIZON"}
        )
        with closing(answer["EventStream"]) as events:
            for event in events:
                event = event["SubscribeToShardEvent"]
                for record in event["Records"]:
                    if record["PartitionKey"] == END:
                        return []
                    seen.append((shard, record))
                is_last = bool(event.get("ChildShards"))
                assert is_last != ("ContinuationSequenceNumber" in event), event
                if is_last:
                    return event["ChildShards"]
        raise AssertionError(f"the subscription to {shard} ended without children")

    return read_shard


def verify(reader, seen, ledger):
    """Every record once, in the order of its key, as the producers were told, and from just now."""
    numbers = {}
    for shard, record in seen:
        key, number_of = record["Data"].decode().rsplit("/", 1)
        assert key == record["PartitionKey"], record
        numbers.setdefault(key, []).append(int(number_of))
    expected = {key: list(range(count)) for key, count in ledger.counts.items()}
    wrong = [key for key in expected | numbers if expected.get(key) != numbers.get(key)]
    check(f"{reader} delivers each record once, in the order of its key", not wrong, wrong)
    places = {(shard, record["SequenceNumber"]) for shard, record in seen}
    check(f"{reader} delivers from where the producers were told", places == set(ledger.placed))
    old = [record for _, record in seen if not is_now(record["ApproximateArrivalTimestamp"])]
    check(f"{reader} tells arrival times of just now", not old, old[:1])
    print(f"{reader}: {len(seen)} records of {len({shard for shard, _ in seen})} shards")


def run(client, stream):
    client.create_stream(StreamName=stream, ShardCount=number("SHARDS_AT_START"))
    wait_until_active(client, stream)
    arn = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName="reader")["Consumer"]
    consumer = consumer["ConsumerARN"]
    eventually(
        "the consumer",
        lambda: client.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"][
            "ConsumerStatus"
        ]
        == "ACTIVE",
    )
    ledger, polled, pushed = Ledger(), [], []
    roots = list(open_shards(client, stream))
    pool = ThreadPoolExecutor(max_workers=8)
    work = [
        pool.submit(follow, roots, by_get_records(client, stream, polled)),
        pool.submit(follow, roots, by_subscription(client, consumer, pushed)),
    ]
    producers = [
        pool.submit(produce, client, stream, ledger, producer)
        for producer in range(number("PRODUCERS"))
    ]
    try:
        reshard(client, stream, ledger)
    finally:
        ledger.is_done = True
    for producer in producers:
        producer.result()
    for shard in open_shards(client, stream).values():
        start = shard["HashKeyRange"]["StartingHashKey"]
        client.put_record(
            StreamName=stream, PartitionKey=END, ExplicitHashKey=start, Data=b""
        )
    for reader in work:
        reader.result(timeout=number("PATIENCE_SECONDS"))
    generations = {shard for shard, _ in ledger.placed}
    check("records were written before, between and after the reshards", len(generations) >= 7)
    verify("GetRecords", polled, ledger)
    verify("SubscribeToShard", pushed, ledger)
