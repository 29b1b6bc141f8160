"""boto3 against the emulator. Settings come from the environment, as for any program."""

import os
import sys
import traceback

import boto3
import generations
import operations
import reading
import refusals
from conformity import Watch
from generations import check


def run(client, watch):
    reading.run(client, "reading")
    operations.run(client, "operations")
    generations.run(client, "generations")
    refusals.run(client, "refusals")
    # boto3 knows younger operations too, which are not part of data streams.
    others = ("Channel", "Queue", "RecordDistributionStrategy")
    wanted = {
        name
        for name in client.meta.service_model.operation_names
        if not any(other in name for other in others)
    }
    missing = wanted - watch.called
    check("every one of the 39 operations was called", len(wanted) == 39 and not missing, missing)
    check("no answer deviates from the service's model", not watch.deviations, sorted(watch.deviations))


if __name__ == "__main__":
    kinesis = boto3.client("kinesis")
    try:
        run(kinesis, Watch(kinesis))
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)  # readers may still be waiting for what does not come
