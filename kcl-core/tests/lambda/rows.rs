//! The rows of what is known of Lambda's event source mapping for Kinesis. `index` checks them.
//!
//! Rows are of three kinds. What is recorded of the service or documented is done so. What is neither is a choice of ours:
//! it has its line in a table of `docs/lambda.md`. A few are shown where more of the library is at hand.
//!
//! Not a row: that EventBridge Pipes offers the same settings under other names, which says nothing of a mapping.

/// A row.
pub(crate) struct Row {
    /// Its section, and what it is about.
    pub(crate) name: &'static str,
    /// What it says.
    pub(crate) says: &'static str,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// Recorded, or documented.
    Known,
    /// Nobody outside knows: the question in `docs/lambda.md` that has our choice beside it.
    Ours(&'static str),
    /// Has its case in this file of another crate, in the comment of a test.
    In(&'static str),
}

const fn known(name: &'static str, says: &'static str) -> Row {
    let kind = Kind::Known;
    Row { name, says, kind }
}

const fn ours(name: &'static str, says: &'static str, question: &'static str) -> Row {
    let kind = Kind::Ours(question);
    Row { name, says, kind }
}

/// A row that is shown in [`FAN_OUT`].
const fn with_fan_out(name: &'static str, says: &'static str) -> Row {
    let kind = Kind::In(FAN_OUT);
    Row { name, says, kind }
}

const FAN_OUT: &str = "kcl-efo/tests/feed/lambda.rs";

const CONFIGURATION: &[Row] = &[
    known(
        "6.1 EventSourceArn",
        "of a stream, or of a consumer for fan-out; at most 10,000 characters; required",
    ),
    known(
        "6.1 BatchSize",
        "1 to 10,000, default 100; 6 MB beside that",
    ),
    known(
        "6.1 MaximumBatchingWindowInSeconds",
        "0 to 300, default 0; ends with a full batch, its time, or 6 MB",
    ),
    known(
        "6.1 ParallelizationFactor",
        "1 to 10, default 1: batches of one shard at once",
    ),
    with_fan_out(
        "6.1 StartingPosition",
        "the oldest record, the newest, or a time that is not in the future",
    ),
    known("6.1 BisectBatchOnFunctionError", "default no"),
    known(
        "6.1 MaximumRetryAttempts",
        "0 to 10,000, or without end, which is the default; 0 is no retry",
    ),
    known(
        "6.1 MaximumRecordAgeInSeconds",
        "60 to 604,800, or without end, which is the default",
    ),
    known("6.1 TumblingWindowInSeconds", "up to 900, default none"),
    known(
        "6.1 FunctionResponseTypes",
        "ReportBatchItemFailures or nothing; without it the response is not read",
    ),
    known(
        "6.1 FilterCriteria",
        "patterns of up to 4,096 characters, 5 of them, 10 by quota; one is enough",
    ),
    known(
        "6.1 KMSKeyArn",
        "encrypts the filter where the service keeps it",
    ),
    known(
        "6.1 DestinationConfig",
        "OnFailure alone; OnSuccess is refused",
    ),
    known("6.1 Enabled", "disabling keeps the position"),
    known("6.1 MetricsConfig", "EventCount, default off"),
    known(
        "6.1 LoggingConfig, ScalingConfig, ProvisionedPollerConfig",
        "not for Kinesis",
    ),
    known(
        "6.1 State",
        "creating, enabled and the like, and how the last processing went",
    ),
    known("6.1 Conflict", "one function is behind a stream once"),
    with_fan_out(
        "6.1 Permissions",
        "of reading: list, describe, iterators, records, subscriptions",
    ),
];

const EVENT: &[Row] = &[
    known(
        "6.2 fields",
        "of an event and its records, as JSON and as the type",
    ),
    ours(
        "6.2 invokeIdentityArn",
        "the role of the function",
        "`invokeIdentityArn`",
    ),
    ours(
        "6.2 encryptionType",
        "KMS, where the stream is encrypted",
        "`encryptionType`",
    ),
    ours(
        "6.2 eventSourceARN of a consumer",
        "of the stream or of the consumer",
        "`eventSourceARN` under fan-out",
    ),
    known("6.2 one shard", "a batch has records of one"),
    known("6.2 no empty batch", "is sent"),
    known("6.2 aggregates", "come as they are"),
    ours(
        "6.2 aggregates and filters",
        "with fan-out, filters look into them",
        "filters and aggregated records",
    ),
    known(
        "6.2 aggregates and lanes",
        "one aggregate has one key, so lanes give nothing",
    ),
];

const BATCHES: &[Row] = &[
    known(
        "6.3 polling",
        "once a second for each shard, without a pause while it is behind",
    ),
    with_fan_out("6.3 fan-out", "records are pushed"),
    known("6.3 one in flight", "for each lane of each shard"),
    known(
        "6.3 6 MB",
        "with base64 and envelope: about 4.4 MB of payload",
    ),
    ours(
        "6.3 too large a record",
        "for any invocation: goes to the on-failure destination",
        "a record too large for any invocation",
    ),
    known(
        "6.3 lanes",
        "up to the factor at once; the order of each key is kept",
    ),
    ours(
        "6.3 key to lane",
        "by a hash that is not documented",
        "which lane a partition key goes to",
    ),
    ours(
        "6.3 checkpoint of lanes",
        "presumably before the lowest that is not finished",
        "the checkpoint with several lanes",
    ),
    known(
        "6.3 filter first",
        "what is filtered out moves the position and fills no batch",
    ),
    known(
        "6.3 IteratorAge",
        "how old the last record of a batch was when it was done",
    ),
    ours(
        "6.3 IteratorAge of a failure",
        "is not documented",
        "`IteratorAge` of an invocation that failed",
    ),
];

const FAILURES: &[Row] = &[
    known(
        "6.4.1",
        "not invoked: again, uses up no attempt, until the records are too old",
    ),
    known(
        "6.4.2",
        "an error of the function: the whole batch again; its lane is blocked, by default for as long as it takes",
    ),
    known(
        "6.4.3",
        "bisect: halves, which uses up no attempt; later batches have their size",
    ),
    ours(
        "6.4.3 merged documents",
        "of neighbours, as the service may write them",
        "documents about neighbours, with bisect",
    ),
    known(
        "6.4.4",
        "a report: from its lowest number; with bisect that is the cut; an error always halves",
    ),
    ours(
        "6.4.4 nothing to cut off",
        "the lowest number is the first of the batch",
        "the lowest number in a report is the batch's first, with bisect",
    ),
    known(
        "6.4.5",
        "exhausted: the document goes to the destination, then the next records",
    ),
    ours(
        "6.4.5 what was behind it",
        "in a batch that was halved",
        "what was behind a record that is given up, in a batch that was halved",
    ),
    ours(
        "6.4.6",
        "pauses between attempts",
        "the pauses between attempts",
    ),
    known(
        "6.4.7",
        "attempts plus one invocations, which the document counts; trimming does not reset them",
    ),
];

const REPORTS: &[Row] = &[
    known(
        "6.5.1",
        "null, an empty text, an empty list, an empty object: success",
    ),
    known("6.5.2", "no failures, or null for the list: success"),
    known(
        "6.5.3",
        "numbers of the batch: from the lowest on, what succeeded behind it as well",
    ),
    known("6.5.4", "a number that is not of the batch: all of it"),
    known("6.5.5", "an empty identifier, or null: all of it"),
    known("6.5.6", "an item without the key: all of it"),
    known(
        "6.5.7",
        "an error of the invocation: all of it, and functionError says so",
    ),
    known(
        "6.5 functionError",
        "null with every report, status 200: the function succeeded",
    ),
    known(
        "6.5 numbers",
        "compare as numbers of up to 129 digits; what is no text is bad",
    ),
    ours(
        "6.5 no object",
        "JSON that is no object",
        "the response is JSON and no object",
    ),
    ours(
        "6.5 no list",
        "or no JSON",
        "the response is not JSON, or `batchItemFailures` is no list",
    ),
    ours(
        "6.5 good and bad",
        "identifiers in one report",
        "good and bad identifiers in one report",
    ),
];

const DOCUMENTS: &[Row] = &[
    known("6.6 fields", "of the document"),
    known("6.6 condition", "of attempts"),
    ours(
        "6.6 condition for age",
        "RecordAgeExceeded or RecordAgeExpired",
        "the condition for age",
    ),
    ours(
        "6.6 records that age in a pause",
        "when that is noticed",
        "records that get too old during a pause",
    ),
    ours(
        "6.6 requestId",
        "of which request",
        "`requestId` in the document",
    ),
    known("6.6 never invoked", "there is no response then"),
    known(
        "6.6 metadata",
        "alone, for queues and topics, which take 256 KB",
    ),
    ours(
        "6.6 payload",
        "for buckets; whether as an object or a text is not known",
        "`payload` in the document",
    ),
    known("6.6 object key", "of the document in a bucket"),
];

const WINDOWS: &[Row] = &[
    known(
        "6.7 bounds",
        "by arrival, aligned, half-open, for each shard",
    ),
    known(
        "6.7 event",
        "window, state, shard, source, and its two marks",
    ),
    known(
        "6.7 response",
        "must have a state, or it has failed; may report failures",
    ),
    known(
        "6.7 last invocation",
        "once a window; its state is dropped; blocks the shard until it succeeds, then the checkpoint moves",
    ),
    known(
        "6.7 1 MB",
        "of state: the window ends early, and goes on with a fresh one",
    ),
    known(
        "6.7 reshard",
        "the shard's end closes its window; children begin afresh",
    ),
    known("6.7 limits", "of attempts and age hold"),
    known("6.7 at least once", "a window may be processed again"),
    ours(
        "6.7 records of the last invocation",
        "or none",
        "records in the last invocation of a window",
    ),
    ours(
        "6.7 last invocation fails",
        "how often",
        "the last invocation of a window fails",
    ),
    ours(
        "6.7 late records",
        "of an earlier window",
        "a record that arrived before the open window",
    ),
    ours(
        "6.7 no later record",
        "to end a window",
        "a window without a later record",
    ),
    ours(
        "6.7 too large a state",
        "which invocation gets it",
        "the state that is too large",
    ),
    ours(
        "6.7 lanes",
        "together with windows",
        "parallel lanes and tumbling windows",
    ),
];

const FILTERS: &[Row] = &[
    known(
        "6.8 pattern",
        "leaves are lists: any in a list, all in an object",
    ),
    known(
        "6.8 only data",
        "can be asked about; metadata is an extension",
    ),
    known(
        "6.8 not JSON",
        "is dropped if the pattern asks about data, and only then",
    ),
    known("6.8 operators", "of a mapping"),
    known("6.8 of event buses", "alone: refused"),
    known(
        "6.8 refused",
        "when the mapping is made: what is no pattern",
    ),
    known(
        "6.8 fields",
        "that are named must be there; others are not looked at",
    ),
    known("6.8 texts", "exact, by case, not normalised"),
    known("6.8 numbers", "as they are written, but in numeric"),
    known("6.8 dropped", "is processed, before batches are made"),
];

/// All of them.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    let sections = [
        CONFIGURATION,
        EVENT,
        BATCHES,
        FAILURES,
        REPORTS,
        DOCUMENTS,
        WINDOWS,
        FILTERS,
    ];
    sections.into_iter().flatten()
}
