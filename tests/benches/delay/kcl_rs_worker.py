"""A worker of kcl-rs that says how old each record is when it is handed over.

Arguments: endpoint, stream, application, FANOUT or POLLING, and for polling the pause between two reads in
milliseconds. Started by the benchmark `delay`; ends with its standard input.
"""

import sys
import time

from kcl_rs import RecordProcessorBase, Scheduler


class Delays(RecordProcessorBase):
    def initialize(self, initialize_input):
        pass

    def process_records(self, process_records_input):
        now = time.time_ns()
        lines = []
        for record in process_records_input.records:
            number, sent = record.binary_data.decode().split()
            lines.append(f"{number} {now - int(sent)}\n")
        sys.stdout.write("".join(lines))
        sys.stdout.flush()
        process_records_input.checkpointer.checkpoint()

    def lease_lost(self, lease_lost_input):
        pass

    def shard_ended(self, shard_ended_input):
        shard_ended_input.checkpointer.checkpoint()

    def shutdown_requested(self, shutdown_requested_input):
        pass


def main():
    endpoint, stream, application, mode, *idle = sys.argv[1:]
    extra = {"idle_time_between_reads_millis": int(idle[0])} if idle else {}
    scheduler = Scheduler(
        stream_name=stream,
        application_name=application,
        record_processor_factory=Delays,
        region="us-east-1",
        endpoint_url=endpoint,
        access_key_id="test",
        secret_access_key="test",
        initial_position="TRIM_HORIZON",
        retrieval_mode=mode,
        **extra,
    )
    scheduler.start()
    sys.stdin.read()


main()
