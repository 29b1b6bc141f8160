"""boto3's metrics against the emulator, in each protocol that the service speaks, and the AWS CLI's.

boto3 takes the one protocol that it prefers; here it is handed a model that has only one of them.
"""

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import boto3
import botocore.loaders
import botocore.session
from generations import check, wait_until_active

PROTOCOLS = ("query", "json", "smithy-rpc-v2-cbor")


class OneProtocol(botocore.loaders.Loader):
    """Loads CloudWatch's model with one protocol of those that it has."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol = protocol

    def load_service_model(self, service_name, type_name, api_version=None):
        model = super().load_service_model(service_name, type_name, api_version)
        if service_name == "cloudwatch" and type_name == "service-2":
            known = model["metadata"]["protocols"]
            check(f"the service speaks {self.protocol}", self.protocol in known, known)
            model["metadata"]["protocols"] = [self.protocol]
        return model


def client_of(protocol):
    session = botocore.session.get_session()
    # Models that come with boto3's own botocore, and no others.
    loader = OneProtocol(protocol)
    loader.search_paths.extend(session.get_component("data_loader").search_paths)
    session.register_component("data_loader", loader)
    client = boto3.Session(botocore_session=session).client("cloudwatch")
    found = client.meta.service_model.resolved_protocol
    check(f"the client speaks {protocol}", found == protocol, found)
    return client


def run(client, namespace, now):
    start = now.replace(second=0, microsecond=0) - timedelta(minutes=5)
    dimensions = [{"Name": "Shard", "Value": "a <b> & 'c'"}]
    metric = {"Namespace": namespace, "MetricName": "Latency", "Dimensions": dimensions}
    datum = {"MetricName": "Latency", "Dimensions": dimensions, "Unit": "Milliseconds"}
    client.put_metric_data(
        Namespace=namespace,
        MetricData=[
            datum | {"Timestamp": start, "Values": [1.0, 2.5, 10.0], "Counts": [8.0, 1.0, 1.0]},
            datum | {"Timestamp": start + timedelta(minutes=1), "Value": 7},
            datum
            | {
                "Timestamp": start + timedelta(minutes=2),
                "StatisticValues": {"SampleCount": 2, "Sum": 5, "Minimum": 1, "Maximum": 4},
            },
        ],
    )
    listed = client.list_metrics(Namespace=namespace)["Metrics"]
    check("a metric is listed as it was put", listed == [metric], listed)
    statistics(client, metric, start)
    data(client, metric, start)
    compressed(client, namespace)
    refusals(client, metric, start)


def statistics(client, metric, start):
    window = {"StartTime": start, "EndTime": start + timedelta(minutes=3), "Period": 60}
    answer = client.get_metric_statistics(**metric, **window, Statistics=["Sum", "Average", "Maximum"])
    check("statistics are labelled with the metric's name", answer["Label"] == "Latency", answer)
    found = sorted((it["Timestamp"], it["Sum"], it["Maximum"], it["Unit"]) for it in answer["Datapoints"])
    minutes = [start + timedelta(minutes=minute) for minute in range(3)]
    sums, highest = [20.5, 7.0, 5.0], [10.0, 7.0, 4.0]
    expected = [(at, total, high, "Milliseconds") for at, total, high in zip(minutes, sums, highest)]
    check("statistics come by the minute", found == expected, found)
    answer = client.get_metric_statistics(**metric, **window, ExtendedStatistics=["p50", "p90"])
    found = sorted((it["Timestamp"], it["ExtendedStatistics"]) for it in answer["Datapoints"])
    expected = [(minutes[0], {"p50": 1.0, "p90": 2.5}), (minutes[1], {"p50": 7.0, "p90": 7.0})]
    check("percentiles are those of the values", found == expected, found)


def data(client, metric, start):
    def query(name, stat):
        return {"Id": name, "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}}

    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[query("sum", "Sum"), query("p50", "p50")],
        StartTime=start,
        EndTime=start + timedelta(minutes=3),
        ScanBy="TimestampAscending",
        MaxDatapoints=2,
    )
    values, count = {}, 0
    for page in pages:
        count += 1
        for result in page["MetricDataResults"]:
            pairs = zip(result["Timestamps"], result["Values"])
            values.setdefault(result["Id"], []).extend(pairs)
    minutes = [start + timedelta(minutes=minute) for minute in range(3)]
    expected = {"sum": list(zip(minutes, [20.5, 7.0, 5.0])), "p50": list(zip(minutes, [1.0, 7.0]))}
    check("data come page by page and in order", values == expected, values)
    check("two data points are a page", count == 3, count)


def compressed(client, namespace):
    encodings = []
    client.meta.events.register(
        "before-send.cloudwatch.PutMetricData",
        lambda request, **_: encodings.append(request.headers.get("Content-Encoding")),
    )
    many = [{"MetricName": f"many-{number:04}", "Value": number} for number in range(1000)]
    client.put_metric_data(Namespace=f"{namespace}/many", MetricData=many)
    check("a large request is compressed", encodings in ([b"gzip"], ["gzip"]), encodings)
    pages = list(client.get_paginator("list_metrics").paginate(Namespace=f"{namespace}/many"))
    sizes = [len(page["Metrics"]) for page in pages]
    check("500 metrics are a page", sizes == [500, 500], sizes)
    names = {metric["MetricName"] for page in pages for metric in page["Metrics"]}
    check("all metrics of a compressed request are there", len(names) == 1000, len(names))


def refusals(client, metric, start):
    kinds = client.exceptions
    datum = {"MetricName": "m", "Value": 1}
    two = datum | {"Values": [1.0]}
    old = datum | {"Timestamp": start - timedelta(days=15)}
    window = {"StartTime": start, "EndTime": start + timedelta(days=2), "Period": 60}
    for kind, code, call, arguments in (
        (kinds.InvalidParameterValueException, "InvalidParameterValue", client.put_metric_data,
         {"Namespace": "AWS/Kinesis", "MetricData": [datum]}),
        (kinds.InvalidParameterValueException, "InvalidParameterValue", client.put_metric_data,
         {"Namespace": "N", "MetricData": [old]}),
        (kinds.InvalidParameterValueException, "InvalidParameterValue", client.put_metric_data,
         {"Namespace": "N", "MetricData": [datum | {"Value": float("nan")}]}),
        (kinds.InvalidParameterCombinationException, "InvalidParameterCombination",
         client.put_metric_data, {"Namespace": "N", "MetricData": [two]}),
        (kinds.MissingRequiredParameterException, "MissingParameter", client.put_metric_data,
         {"Namespace": "N", "MetricData": []}),
        (kinds.InvalidParameterCombinationException, "InvalidParameterCombination",
         client.get_metric_statistics, metric | window | {"Statistics": ["Sum"]}),
        (kinds.ClientError, "ValidationError", client.get_metric_data,
         {"StartTime": start, "EndTime": start + timedelta(minutes=1),
          "MetricDataQueries": [{"Id": "e", "Expression": "1 + 1"}]}),
        (kinds.InvalidNextToken, "InvalidNextToken", client.get_metric_data,
         {"StartTime": start, "EndTime": start + timedelta(minutes=1), "NextToken": "x",
          "MetricDataQueries": [{"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}]}),
        (kinds.ClientError, "InvalidAction", client.describe_alarms, {}),
    ):
        try:
            call(**arguments)
        except kind as refusal:
            found = refusal.response["Error"]["Code"]
            text = refusal.response["Error"]["Message"]
            check(f"{call.__name__} is refused with {found}", found == code and text, refusal)
        else:
            raise AssertionError(f"{call.__name__} is not refused: {arguments}")


def streams(client):
    """What the emulator counts about a stream."""
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName="counted", ShardCount=1)
    wait_until_active(kinesis, "counted")
    before = datetime.now(timezone.utc) - timedelta(minutes=1)
    records = [{"PartitionKey": "k", "Data": b"abc"}] * 5
    kinesis.put_records(StreamName="counted", Records=records)
    answer = client.get_metric_statistics(
        Namespace="AWS/Kinesis",
        MetricName="IncomingRecords",
        Dimensions=[{"Name": "StreamName", "Value": "counted"}],
        StartTime=before,
        EndTime=before + timedelta(minutes=5),
        Period=300,
        Statistics=["Sum"],
    )
    sums = [it["Sum"] for it in answer["Datapoints"]]
    check("records that were put are in AWS/Kinesis", sums == [5.0], answer)


def command_line(aws, namespace):
    def call(*arguments):
        url = os.environ["AWS_ENDPOINT_URL"]
        command = [aws, "cloudwatch", "--endpoint-url", url, "--output", "json", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    put = call("put-metric-data", "--namespace", namespace, "--metric-name", "Visits", "--value", "3",
               "--dimensions", "Page=home", "--unit", "Count")
    check("aws cloudwatch put-metric-data", put.returncode == 0 and put.stdout == "", put)
    listed = json.loads(call("list-metrics", "--namespace", namespace).stdout)
    metric = {"Namespace": namespace, "MetricName": "Visits", "Dimensions": [{"Name": "Page", "Value": "home"}]}
    check("aws cloudwatch list-metrics", listed["Metrics"] == [metric], listed)
    now = time.time()
    found = json.loads(
        call("get-metric-statistics", "--namespace", namespace, "--metric-name", "Visits", "--dimensions",
             "Name=Page,Value=home", "--statistics", "Sum", "--period", "300",
             "--start-time", str(int(now) - 120), "--end-time", str(int(now) + 120)).stdout
    )
    sums = [it["Sum"] for it in found["Datapoints"]]
    check("aws cloudwatch get-metric-statistics", sums == [3.0], found)
    refused = call("put-metric-data", "--namespace", "AWS/Mine", "--metric-name", "m", "--value", "1")
    check("aws names the error", "(InvalidParameterValue)" in refused.stderr, refused.stderr)


if __name__ == "__main__":
    for number, one in enumerate(PROTOCOLS):
        run(client_of(one), f"Interop/{number}", datetime.now(timezone.utc))
    streams(boto3.client("cloudwatch"))
    command_line(sys.argv[1], "Interop/cli")
