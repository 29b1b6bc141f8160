"""The operations that the other parts do not use, each with a look at what it has changed."""

import json
import time
from datetime import datetime, timezone

from generations import check, eventually, wait_until_active


def run(client, stream):
    client.create_stream(
        StreamName=stream, StreamModeDetails={"StreamMode": "PROVISIONED"}, ShardCount=3, Tags={"a": "1"}
    )
    wait_until_active(client, stream)
    arn = summary(client, stream)["StreamARN"]
    tags(client, stream, arn)
    settings(client, stream, arn)
    listings(client, stream, arn)
    shard_filters(client, stream)
    policies(client, arn)
    account(client)
    consumers(client, stream, arn)


def summary(client, stream):
    return client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]


def tags(client, stream, arn):
    client.add_tags_to_stream(StreamName=stream, Tags={"b": "2", "c": "3"})
    client.remove_tags_from_stream(StreamARN=arn, TagKeys=["c"])
    client.tag_resource(ResourceARN=arn, Tags={"d": "4", "e": "5"})
    client.untag_resource(ResourceARN=arn, TagKeys=["e"])
    expected = {"a": "1", "b": "2", "d": "4"}
    old = client.list_tags_for_stream(StreamName=stream)["Tags"]
    check("tags of a stream", {tag["Key"]: tag["Value"] for tag in old} == expected, old)
    new = client.list_tags_for_resource(ResourceARN=arn)["Tags"]
    check("tags of a resource", {tag["Key"]: tag["Value"] for tag in new} == expected, new)
    page = client.list_tags_for_stream(StreamName=stream, ExclusiveStartTagKey="a", Limit=1)
    check("tags come page by page", page["Tags"] == [{"Key": "b", "Value": "2"}], page)
    check("a page of tags says that there are more", page["HasMoreTags"], page)


def settings(client, stream, arn):
    def changed(name, value):
        wait_until_active(client, stream)
        found = summary(client, stream).get(name)
        check(f"{name} is {value}", found == value, found)

    client.increase_stream_retention_period(StreamName=stream, RetentionPeriodHours=72)
    changed("RetentionPeriodHours", 72)
    client.decrease_stream_retention_period(StreamARN=arn, RetentionPeriodHours=24)
    changed("RetentionPeriodHours", 24)
    answer = client.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["ALL"])
    check("all metrics are more than none", len(answer["DesiredShardLevelMetrics"]) >= 1, answer)
    wait_until_active(client, stream)
    client.disable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["ALL"])
    changed("EnhancedMonitoring", [{"ShardLevelMetrics": []}])
    key = "alias/aws/kinesis"
    client.start_stream_encryption(StreamName=stream, EncryptionType="KMS", KeyId=key)
    changed("KeyId", key)
    client.put_record(StreamName=stream, PartitionKey="k", Data=b"")
    client.stop_stream_encryption(StreamName=stream, EncryptionType="KMS", KeyId=key)
    changed("EncryptionType", "NONE")
    client.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=2048)
    changed("MaxRecordSizeInKiB", 2048)
    large = client.put_record(StreamName=stream, PartitionKey="k", Data=bytes(2 * 1024 * 1000))
    check("a record of 2 MB", large["SequenceNumber"].isdigit(), large)
    client.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    changed("StreamModeDetails", {"StreamMode": "ON_DEMAND"})


def listings(client, stream, arn):
    for index in range(3):
        client.create_stream(StreamName=f"{stream}-{index}", ShardCount=1)
        wait_until_active(client, f"{stream}-{index}")
    pages = list(client.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2}))
    names = [name for page in pages for name in page["StreamNames"]]
    check("streams come page by page", len(pages) > 1 and names == sorted(set(names)), names)
    check("all streams are listed", {f"{stream}-{index}" for index in range(3)} < set(names), names)
    pages = client.get_paginator("describe_stream").paginate(
        StreamName=stream, PaginationConfig={"PageSize": 1}
    )
    described = [it["ShardId"] for page in pages for it in page["StreamDescription"]["Shards"]]
    # A token and the name together are refused, so boto3's paginator does not work for these pages.
    page = client.list_shards(StreamName=stream, MaxResults=1)
    listed = [page["Shards"][0]["ShardId"]]
    while "NextToken" in page:
        page = client.list_shards(NextToken=page["NextToken"], MaxResults=1)
        listed += [it["ShardId"] for it in page["Shards"]]
    check("shards come page by page", len(set(listed)) == 3 and listed == described, listed)
    for index in range(3):
        client.delete_stream(StreamName=f"{stream}-{index}")
    gone = client.get_waiter("stream_not_exists")
    gone.wait(StreamName=f"{stream}-2", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    check("a deleted stream goes away", f"{stream}-2" not in client.list_streams()["StreamNames"])


def shard_filters(client, stream):
    """Splits one of two shards and looks at the stream from before and from behind that."""
    name = f"{stream}-filters"
    client.create_stream(StreamName=name, ShardCount=2)
    wait_until_active(client, name)
    time.sleep(1.01)  # boto3 sends whole seconds
    before = client.put_record(StreamName=name, PartitionKey="k", ExplicitHashKey="0", Data=b"")
    time.sleep(1.01)
    client.split_shard(
        StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 126)
    )
    wait_until_active(client, name)
    iterator = client.get_shard_iterator(
        StreamName=name, ShardId=before["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    at = client.get_records(ShardIterator=iterator)["Records"][0]["ApproximateArrivalTimestamp"]

    time.sleep(1.01)
    now = datetime.now(timezone.utc)

    def listed(**shard_filter):
        shards = client.list_shards(StreamName=name, ShardFilter=shard_filter)["Shards"]
        return [int(shard["ShardId"][-1]) for shard in shards]

    for shard_filter, expected in [
        ({"Type": "AT_LATEST"}, [1, 2, 3]),
        ({"Type": "AT_TRIM_HORIZON"}, [0, 1]),
        ({"Type": "FROM_TRIM_HORIZON"}, [0, 1, 2, 3]),
        ({"Type": "AT_TIMESTAMP", "Timestamp": at}, [0, 1]),
        ({"Type": "AT_TIMESTAMP", "Timestamp": now}, [1, 2, 3]),
        ({"Type": "FROM_TIMESTAMP", "Timestamp": at}, [0, 1, 2, 3]),
        ({"Type": "FROM_TIMESTAMP", "Timestamp": now}, [1, 2, 3]),
        ({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000001"}, [2, 3]),
    ]:
        found = listed(**shard_filter)
        check(f"ListShards {shard_filter['Type']}", found == expected, found)
    after = client.list_shards(StreamName=name, ExclusiveStartShardId="shardId-000000000002")["Shards"]
    check("ListShards after a shard", [shard["ShardId"][-1] for shard in after] == ["3"], after)


def policies(client, arn):
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "111122223333"},
        "Action": ["kinesis:GetRecords", "kinesis:DescribeStreamSummary"],
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_resource_policy(ResourceARN=arn, Policy=policy)
    found = json.loads(client.get_resource_policy(ResourceARN=arn)["Policy"])
    check("a policy is kept", found == json.loads(policy), found)
    client.delete_resource_policy(ResourceARN=arn)


def account(client):
    limits = client.describe_limits()
    check("shards are counted", 0 < limits["OpenShardCount"] < limits["ShardLimit"], limits)
    commitment = client.describe_account_settings()["MinimumThroughputBillingCommitment"]
    check("no commitment is the default", commitment["Status"] == "DISABLED", commitment)
    answer = client.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    status = answer["MinimumThroughputBillingCommitment"]["Status"]
    check("a commitment can be made", status == "ENABLED", answer)
    name = "warm"
    client.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    wait_until_active(client, name)
    warm = client.update_stream_warm_throughput(StreamName=name, WarmThroughputMiBps=20)
    check("warm throughput is what was asked for", warm["WarmThroughput"]["TargetMiBps"] == 20, warm)
    wait_until_active(client, name)


def consumers(client, stream, arn):
    names = [f"consumer-{index}" for index in range(3)]
    for name in names:
        client.register_stream_consumer(StreamARN=arn, ConsumerName=name)
    pages = client.get_paginator("list_stream_consumers").paginate(
        StreamARN=arn, PaginationConfig={"PageSize": 1}
    )
    found = [consumer["ConsumerName"] for page in pages for consumer in page["Consumers"]]
    check("consumers come page by page", sorted(found) == names, found)
    client.deregister_stream_consumer(StreamARN=arn, ConsumerName=names[0])

    def remaining():
        return [it["ConsumerName"] for it in client.list_stream_consumers(StreamARN=arn)["Consumers"]]

    eventually("a consumer to go", lambda: sorted(remaining()) == names[1:])
    try:
        client.delete_stream(StreamARN=arn)
        check("a stream with consumers is not deleted", False)
    except client.exceptions.ResourceInUseException as refusal:
        check("a stream with consumers is not deleted", True, refusal)
    client.delete_stream(StreamARN=arn, EnforceConsumerDeletion=True)
    gone = client.get_waiter("stream_not_exists")
    gone.wait(StreamName=stream, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
