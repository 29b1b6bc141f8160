// The AWS SDK for JavaScript v3 against the emulator. Settings come from the environment, as for any
// program; the SDK speaks HTTP/2 from the first byte.
import { Kinesis } from "@aws-sdk/client-kinesis";
import { runGenerations } from "./generations.mjs";
import { runReading, runRefusals } from "./reading.mjs";

const client = new Kinesis({});
await runReading(client, "reading");
await runGenerations(client, "generations");
await runRefusals(client, "refusals");
client.destroy();
