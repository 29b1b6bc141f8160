// Producers, reshards and readers at the same time; then every record must have been read once.
//
// Producers write numbered records to their own keys while the stream is split, merged and resized.
// Two readers start before them, one by GetRecords and one by SubscribeToShard, and follow the
// shards: a child is read when all its parents have been read to their ends.
import { setTimeout as sleep } from "node:timers/promises";
import { check, eventually, isNow, number, waitUntilActive } from "./checks.mjs";

const END = "end"; // The partition key of the last record of each open shard.
const encode = (text) => new TextEncoder().encode(text);
const decode = (bytes) => new TextDecoder().decode(bytes);

/** What the producers were told about each record, and whether they are to go on. */
class Ledger {
  placed = new Map(); // "shard sequence" -> "key/number"
  counts = new Map();
  isDone = false;

  next(key) {
    return encode(`${key}/${this.counts.get(key) ?? 0}`);
  }

  note(key, { ShardId, SequenceNumber }) {
    const place = `${ShardId} ${SequenceNumber}`;
    if (this.placed.has(place)) throw new Error(`two records at ${place}`);
    const count = this.counts.get(key) ?? 0;
    this.placed.set(place, `${key}/${count}`);
    this.counts.set(key, count + 1);
  }

  waitForAGeneration() {
    const wanted = this.placed.size + number("RECORDS_PER_GENERATION");
    return eventually("producers", () => this.placed.size >= wanted);
  }
}

/** Rounds of one record for each key; the first producer sends each by itself. */
async function produce(client, StreamName, ledger, producer) {
  const keys = Array.from({ length: number("KEYS_PER_PRODUCER") }, (_, key) => `producer-${producer}-key-${key}`);
  while (!ledger.isDone) {
    const records = keys.map((key) => ({ PartitionKey: key, Data: ledger.next(key) }));
    if (producer === 0) {
      for (const record of records) {
        ledger.note(record.PartitionKey, await client.putRecord({ StreamName, ...record }));
      }
    } else {
      const answer = await client.putRecords({ StreamName, Records: records });
      if (answer.FailedRecordCount !== 0) throw new Error("records failed");
      answer.Records.forEach((placed, index) => ledger.note(keys[index], placed));
    }
  }
}

async function openShards(client, StreamName) {
  return (await client.listShards({ StreamName, ShardFilter: { Type: "AT_LATEST" } })).Shards;
}

/** Split, merge, UpdateShardCount, with records before, between and after. */
async function reshard(client, StreamName, ledger) {
  const names = [0, 1, 2, 3, 4].map((index) => `shardId-${String(index).padStart(12, "0")}`);
  const areOpen = (shards, wanted) => shards.map(({ ShardId }) => ShardId).join() === wanted.join();
  let shards = await openShards(client, StreamName);
  check("the stream starts with its shards", areOpen(shards, [names[0], names[1]]), shards);
  const middle = (BigInt(shards[0].HashKeyRange.EndingHashKey) + 1n) / 2n;

  await ledger.waitForAGeneration();
  await client.splitShard({ StreamName, ShardToSplit: names[0], NewStartingHashKey: String(middle) });
  await waitUntilActive(client, StreamName);
  shards = await openShards(client, StreamName);
  check("a split leaves two children", areOpen(shards, [names[1], names[2], names[3]]), shards);

  await ledger.waitForAGeneration();
  await client.mergeShards({ StreamName, ShardToMerge: names[3], AdjacentShardToMerge: names[1] });
  await waitUntilActive(client, StreamName);
  shards = await openShards(client, StreamName);
  check("a merge leaves one child", areOpen(shards, [names[2], names[4]]), shards);
  const { ParentShardId, AdjacentParentShardId } = shards[1];
  const namesParents = ParentShardId === names[3] && AdjacentParentShardId === names[1];
  check("a merged shard names both parents", namesParents, shards[1]);

  await ledger.waitForAGeneration();
  const TargetShardCount = number("SHARDS_AT_END");
  await client.updateShardCount({ StreamName, TargetShardCount, ScalingType: "UNIFORM_SCALING" });
  await waitUntilActive(client, StreamName);
  shards = await openShards(client, StreamName);
  check("UpdateShardCount leaves the wanted number", shards.length === TargetShardCount, shards);
  await ledger.waitForAGeneration();
}

/** Reads all shards; `readShard` returns the children at the end of a closed one. */
async function follow(roots, readShard) {
  const finished = new Set();
  async function read(shard) {
    const children = await readShard(shard);
    finished.add(shard);
    const ready = children.filter(({ ParentShards }) => ParentShards.every((parent) => finished.has(parent)));
    await Promise.all(ready.map(({ ShardId }) => read(ShardId)));
  }
  await Promise.all(roots.map(read));
}

function byGetRecords(client, StreamName, seen) {
  return async (ShardId) => {
    const start = await client.getShardIterator({ StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" });
    let iterator = start.ShardIterator;
    for (;;) {
      const page = await client.getRecords({ ShardIterator: iterator, Limit: 50 });
      for (const record of page.Records) {
        if (record.PartitionKey === END) return [];
        seen.push({ shard: ShardId, ...record });
      }
      iterator = page.NextShardIterator;
      if (!iterator !== Boolean(page.ChildShards)) throw new Error("either an iterator or children");
      if (!iterator) return page.ChildShards;
      if (page.Records.length === 0) await sleep(20);
    }
  };
}

function bySubscription(client, ConsumerARN, seen) {
  return async (ShardId) => {
    const answer = await client.subscribeToShard({ ConsumerARN, ShardId, StartingPosition: { Type: "TRIM_HORIZON" } });
    for await (const { SubscribeToShardEvent: event } of answer.EventStream) {
      for (const record of event.Records) {
        if (record.PartitionKey === END) return [];
        seen.push({ shard: ShardId, ...record });
      }
      const isLast = event.ChildShards?.length > 0;
      if (isLast === Boolean(event.ContinuationSequenceNumber)) throw new Error("either a continuation or children");
      if (isLast) return event.ChildShards;
    }
    throw new Error(`the subscription to ${ShardId} ended without children`);
  };
}

/** Every record once, in the order of its key, as the producers were told, and from just now. */
function verify(reader, seen, ledger) {
  const counts = new Map();
  const places = new Set();
  for (const { shard, SequenceNumber, PartitionKey, Data, ApproximateArrivalTimestamp } of seen) {
    const place = `${shard} ${SequenceNumber}`;
    const count = counts.get(PartitionKey) ?? 0;
    const data = decode(Data);
    if (data !== `${PartitionKey}/${count}` || data !== ledger.placed.get(place)) {
      throw new Error(`${reader}: ${place} holds ${data}, and ${PartitionKey}/${count} was next`);
    }
    if (!isNow(ApproximateArrivalTimestamp)) throw new Error(`${reader}: arrived ${ApproximateArrivalTimestamp}`);
    counts.set(PartitionKey, count + 1);
    places.add(place);
  }
  const isComplete = seen.length === ledger.placed.size && places.size === seen.length;
  check(
    `${reader} delivers each record once, in the order of its key, where it was put, as of now`,
    isComplete,
    [seen.length, places.size, ledger.placed.size],
  );
  console.log(reader, "delivered", seen.length, "records");
}

async function register(client, StreamARN) {
  const { Consumer } = await client.registerStreamConsumer({ StreamARN, ConsumerName: "reader" });
  check("a consumer is as old as it is", isNow(Consumer.ConsumerCreationTimestamp), Consumer);
  const { ConsumerARN } = Consumer;
  await eventually("the consumer", async () => {
    const { ConsumerDescription } = await client.describeStreamConsumer({ ConsumerARN });
    return ConsumerDescription.ConsumerStatus === "ACTIVE";
  });
  return ConsumerARN;
}

export async function runGenerations(client, StreamName) {
  await client.createStream({ StreamName, ShardCount: number("SHARDS_AT_START") });
  const { StreamARN } = await waitUntilActive(client, StreamName);
  const consumer = await register(client, StreamARN);
  const roots = (await openShards(client, StreamName)).map(({ ShardId }) => ShardId);
  const ledger = new Ledger();
  const polled = [];
  const pushed = [];
  const readers = Promise.all([
    follow(roots, byGetRecords(client, StreamName, polled)),
    follow(roots, bySubscription(client, consumer, pushed)),
  ]);
  const producers = Array.from({ length: number("PRODUCERS") }, (_, producer) =>
    produce(client, StreamName, ledger, producer),
  );
  await Promise.race([reshard(client, StreamName, ledger), readers]);
  ledger.isDone = true;
  await Promise.all(producers);
  for (const { HashKeyRange } of await openShards(client, StreamName)) {
    const ExplicitHashKey = HashKeyRange.StartingHashKey;
    await client.putRecord({ StreamName, PartitionKey: END, ExplicitHashKey, Data: encode(END) });
  }
  await readers;
  const written = new Set([...ledger.placed.keys()].map((place) => place.split(" ")[0]));
  check("records were written before, between and after the reshards", written.size >= 7, [...written]);
  verify("GetRecords", polled, ledger);
  verify("SubscribeToShard", pushed, ledger);
}
