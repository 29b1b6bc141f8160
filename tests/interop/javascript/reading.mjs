// Payloads, positions, and what is refused.
import {
  ExpiredIteratorException,
  InvalidArgumentException,
  Kinesis,
  ResourceInUseException,
  ResourceNotFoundException,
  ValidationException,
} from "@aws-sdk/client-kinesis";
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { check, waitUntilActive } from "./checks.mjs";

const ShardId = "shardId-000000000000";
const PartitionKey = "ключ-🔑";

/** Puts four different payloads and reads them from every kind of position. */
export async function runReading(client, StreamName) {
  await client.createStream({ StreamName, ShardCount: 1 });
  const { StreamARN } = await waitUntilActive(client, StreamName);
  const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const payloads = [Buffer.from("first"), everyByte, new Uint8Array(), new Uint8Array(1_000_000).fill(7)];
  const sequences = [];
  for (const Data of payloads) {
    sequences.push((await client.putRecord({ StreamARN, PartitionKey, Data })).SequenceNumber);
    await sleep(5); // so that no two arrive in one millisecond
  }

  async function read(ShardIteratorType, position = {}) {
    const start = await client.getShardIterator({ StreamARN, ShardId, ShardIteratorType, ...position });
    const page = await client.getRecords({ ShardIterator: start.ShardIterator });
    check("who has read all is not behind", page.MillisBehindLatest === 0, page.MillisBehindLatest);
    return page.Records;
  }
  const startsAt = (records, index) =>
    records.length === payloads.length - index && records[0].SequenceNumber === sequences[index];
  const all = await read("TRIM_HORIZON");
  check("TRIM_HORIZON starts at the first record", startsAt(all, 0), all.length);
  all.forEach((record, index) => {
    const isSame = Buffer.from(record.Data).equals(payloads[index]) && record.PartitionKey === PartitionKey;
    check("a payload and its key come back as they were put", isSame, index);
  });
  const Timestamp = all[2].ApproximateArrivalTimestamp;
  const StartingSequenceNumber = sequences[1];
  check("AT_TIMESTAMP starts at the record of that millisecond", startsAt(await read("AT_TIMESTAMP", { Timestamp }), 2));
  const at = await read("AT_SEQUENCE_NUMBER", { StartingSequenceNumber });
  check("AT_SEQUENCE_NUMBER starts at the record", startsAt(at, 1));
  const after = await read("AFTER_SEQUENCE_NUMBER", { StartingSequenceNumber });
  check("AFTER_SEQUENCE_NUMBER starts behind it", startsAt(after, 2));
  check("LATEST starts behind all", (await read("LATEST")).length === 0);
}

/** Moves the emulator's clock. */
function advance(by) {
  execFileSync(process.env.INTEROP_ADVANCE, [by]);
  check("the emulator's clock can be moved", true);
}

/** Looks for the SDK's classes behind the service's errors. Moves the clock, so it is last. */
export async function runRefusals(client, StreamName) {
  async function refuses(kind, call) {
    const error = await call.then(() => undefined, (error) => error);
    check(kind.name, error instanceof kind, String(error));
  }
  await refuses(ResourceNotFoundException, client.describeStreamSummary({ StreamName: "missing" }));
  await client.createStream({ StreamName, ShardCount: 1 });
  await refuses(ResourceInUseException, client.createStream({ StreamName, ShardCount: 1 }));
  await waitUntilActive(client, StreamName);
  await refuses(
    InvalidArgumentException,
    client.splitShard({ StreamName, ShardToSplit: ShardId, NewStartingHashKey: "0" }),
  );
  const Data = Buffer.from("x");
  await refuses(ValidationException, client.putRecord({ StreamName, PartitionKey: "k".repeat(257), Data }));

  const { ShardIterator } = await client.getShardIterator({ StreamName, ShardId, ShardIteratorType: "LATEST" });
  advance("301s");
  await refuses(ExpiredIteratorException, client.getRecords({ ShardIterator }));

  if (process.env.INTEROP_SIGNED) {
    const accessKeyId = process.env.AWS_ACCESS_KEY_ID;
    const wrong = new Kinesis({ credentials: { accessKeyId, secretAccessKey: "wrong" } });
    const error = await wrong.listStreams({}).catch((error) => error);
    check("a wrong secret is refused", error.name === "InvalidSignatureException", String(error));
    advance("1h");
    const { $metadata } = await client.listStreams({});
    check("the SDK signs again, by the emulator's clock", $metadata.attempts === 2, $metadata);
  }
}
