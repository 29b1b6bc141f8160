"""boto3 against the emulator. Settings come from the environment, as for any program."""

import boto3
import generations
import operations
import reading
import refusals
from conformity import Watch
from generations import check

client = boto3.client("kinesis")
watch = Watch(client)
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
check("every one of the 39 operations was called", len(wanted) == 39 == len(watch.called & wanted), wanted - watch.called)
check("no answer deviates from the service's model", not watch.deviations, sorted(watch.deviations))
