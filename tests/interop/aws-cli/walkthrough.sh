#!/usr/bin/env bash
# The AWS CLI against the emulator, as somebody would try it out by hand: walkthrough.sh AWS
# The endpoint is an argument because older versions do not read it from the environment.
set -euo pipefail
readonly AWS=$1
TMPDIR=$(mktemp -d)
trap 'rm -rf "$TMPDIR"' EXIT
version=$("$AWS" --version 2>&1)
echo "$version"
[[ $version == aws-cli/1* ]] && readonly IS_V1=1 || readonly IS_V1=

kinesis() { "$AWS" kinesis --endpoint-url "$AWS_ENDPOINT_URL" --output json "$@"; }
# Version 2 takes base64 for binary values unless it is told that they are raw.
raw() { if [[ $IS_V1 ]]; then kinesis "$@"; else kinesis --cli-binary-format raw-in-base64-out "$@"; fi; }
base64_in() { if [[ $IS_V1 ]]; then cat; else base64 -w0; fi; }
text() { kinesis --output text "$@"; }

fail() {
  echo "FAILED $*" >&2
  exit 1
}
# is WHAT WANTED FOUND
is() {
  [[ $2 == "$3" ]] || fail "$1: wanted '$2', found '$3'"
  echo "ok $1"
}
# refuses ERROR ARGUMENT...
refuses() {
  local error=$1 answer
  shift
  answer=$(kinesis "$@" 2>&1) && fail "$*: not refused: $answer"
  grep -q "($error)" <<<"$answer" || fail "$*: wanted $error, found $answer"
  echo "ok $1 is refused with $error"
}
summary() { text describe-stream-summary --stream-name "$1" --query "StreamDescriptionSummary.$2"; }
# settled STREAM: waits until it is ACTIVE, oftener than the CLI's waiter looks.
settled() {
  local deadline=$((SECONDS + PATIENCE_SECONDS))
  until [[ $(summary "$1" StreamStatus) == ACTIVE ]]; do
    ((SECONDS < deadline)) || fail "$1 does not become ACTIVE"
  done
}
# iterator TYPE ARGUMENT...: for the first shard of the stream orders.
iterator() {
  local type=$1
  shift
  text get-shard-iterator --stream-name orders --shard-id shardId-000000000000 \
    --shard-iterator-type "$type" "$@" --query ShardIterator
}
# records QUERY ITERATOR
records() { text get-records --shard-iterator "$2" --query "$1"; }

# --- streams ---
kinesis create-stream --stream-name orders --shard-count 1
kinesis create-stream --stream-name clicks --stream-mode-details StreamMode=ON_DEMAND
kinesis wait stream-exists --stream-name orders
kinesis wait stream-exists --stream-name clicks
echo "ok wait stream-exists"
is "a provisioned stream has its shards" $'ACTIVE\tPROVISIONED\t1' \
  "$(summary orders '[StreamStatus,StreamModeDetails.StreamMode,OpenShardCount]')"
is "an on-demand stream starts with four" $'ACTIVE\tON_DEMAND\t4' \
  "$(summary clicks '[StreamStatus,StreamModeDetails.StreamMode,OpenShardCount]')"
arn=$(summary orders StreamARN)
is "a stream's ARN names region and stream" "arn:aws:kinesis:$AWS_REGION:stream/orders" \
  "$(cut -d: -f1-4,6 <<<"$arn")"
created=$(date --date "$(summary orders StreamCreationTimestamp)" +%s 2>/dev/null ||
  summary orders StreamCreationTimestamp | cut -d. -f1)
age=$(($(date +%s) - created))
((${age#-} <= CLOCK_SLACK_SECONDS)) || fail "the stream is $age s old"
echo "ok a stream was created just now"
is "describe-stream" $'orders\tshardId-000000000000\t340282366920938463463374607431768211455' \
  "$(text describe-stream --stream-name orders \
    --query 'StreamDescription.[StreamName,Shards[0].ShardId,Shards[0].HashKeyRange.EndingHashKey]')"
is "list-streams" $'clicks\torders' "$(text list-streams --query StreamNames)"
is "list-streams page by page" $'clicks\norders' \
  "$(text list-streams --page-size 1 --query StreamNames | grep -v None)"
refuses ResourceInUseException create-stream --stream-name orders --shard-count 1
refuses ResourceNotFoundException describe-stream --stream-name missing
is "describe-limits" $'1\t1' "$(text describe-limits --query '[OpenShardCount,OnDemandStreamCount]')"

# --- records ---
first=$(raw put-record --stream-name orders --partition-key k --data 'raw text' --query SequenceNumber --output text)
printf '\x00\xff binary' >"$TMPDIR/blob"
put=(kinesis)
[[ $IS_V1 ]] || put+=(--cli-binary-format base64)
second=$("${put[@]}" put-record --stream-arn "$arn" --partition-key k --explicit-hash-key 7 \
  --data "fileb://$TMPDIR/blob" --query SequenceNumber --output text)
sleep 1.1 # AT_TIMESTAMP is sent in whole seconds
is "put-records takes all" $'0\tshardId-000000000000' "$(text put-records --stream-name orders --records \
  "[{\"PartitionKey\":\"a\",\"Data\":\"$(printf third | base64_in)\"},{\"PartitionKey\":\"b\",\"Data\":\"$(printf fourth | base64_in)\"}]" \
  --query '[FailedRecordCount,Records[0].ShardId]')"
encoded=$(printf '%s\t' "$(printf 'raw text' | base64)" "$(base64 <"$TMPDIR/blob")" "$(printf third | base64)" "$(printf fourth | base64)")
is "get-records from TRIM_HORIZON" "${encoded%$'\t'}" "$(records 'Records[].Data' "$(iterator TRIM_HORIZON)")"
is "AT_SEQUENCE_NUMBER" "$second" \
  "$(records 'Records[0].SequenceNumber' "$(iterator AT_SEQUENCE_NUMBER --starting-sequence-number "$second")")"
is "AFTER_SEQUENCE_NUMBER" "$second" \
  "$(records 'Records[0].SequenceNumber' "$(iterator AFTER_SEQUENCE_NUMBER --starting-sequence-number "$first")")"
is "LATEST" 0 "$(records 'length(Records)' "$(iterator LATEST)")"
arrival=$(records 'Records[2].ApproximateArrivalTimestamp' "$(iterator TRIM_HORIZON)")
[[ $arrival == *-* ]] && arrival=$(date --date "$arrival" +%s.%3N)
age=$(($(date +%s) - ${arrival%.*}))
((${age#-} <= CLOCK_SLACK_SECONDS)) || fail "a record arrived $age s ago"
echo "ok a record arrived just now"
is "AT_TIMESTAMP" a "$(records 'Records[0].PartitionKey' "$(iterator AT_TIMESTAMP --timestamp "${arrival%.*}")")"
is "the tip is not behind" 0 "$(records MillisBehindLatest "$(iterator TRIM_HORIZON)")"
refuses ResourceNotFoundException get-shard-iterator --stream-name orders --shard-id shardId-000000000009 \
  --shard-iterator-type LATEST

# --- shards ---
kinesis split-shard --stream-name orders --shard-to-split shardId-000000000000 \
  --new-starting-hash-key 170141183460469231731687303715884105728
settled orders
old=$(iterator LATEST)
is "a closed shard ends with its children" $'None\tshardId-000000000001\tshardId-000000000002' \
  "$(records '[NextShardIterator,ChildShards[0].ShardId,ChildShards[1].ShardId]' "$old")"
kinesis merge-shards --stream-name orders --shard-to-merge shardId-000000000001 \
  --adjacent-shard-to-merge shardId-000000000002
settled orders
is "a merged shard names its parents" $'shardId-000000000003\tshardId-000000000001\tshardId-000000000002' \
  "$(text list-shards --stream-name orders --shard-filter Type=AT_LATEST \
    --query 'Shards[].[ShardId,ParentShardId,AdjacentParentShardId]')"
refuses InvalidArgumentException split-shard --stream-name orders --shard-to-split shardId-000000000000 \
  --new-starting-hash-key 170141183460469231731687303715884105728
is "update-shard-count answers both counts" $'orders\t1\t2' "$(text update-shard-count --stream-name orders \
  --target-shard-count 2 --scaling-type UNIFORM_SCALING \
  --query '[StreamName,CurrentShardCount,TargetShardCount]')"
settled orders
is "update-shard-count leaves the wanted number" 2 "$(summary orders OpenShardCount)"
# A token and the name together are refused, so the CLI cannot turn these pages by itself.
token=$(text list-shards --stream-name orders --no-paginate --max-results 4 --query NextToken)
is "list-shards page by page" $'shardId-000000000004\tshardId-000000000005' \
  "$(text list-shards --no-paginate --next-token "$token" --query 'Shards[].ShardId')"

# --- what else a stream has ---
kinesis add-tags-to-stream --stream-name orders --tags team=blue,stage=test
is "list-tags-for-stream" $'stage\ttest\nteam\tblue' \
  "$(text list-tags-for-stream --stream-name orders --query 'Tags[].[Key,Value]' | sort)"
kinesis remove-tags-from-stream --stream-name orders --tag-keys stage
# The version 2 of Debian does not know these yet.
if [[ $IS_V1 ]]; then
  kinesis tag-resource --resource-arn "$arn" --tags owner=me
  is "tags of a resource are those of the stream" $'owner\tme\nteam\tblue' \
    "$(text list-tags-for-resource --resource-arn "$arn" --query 'Tags[].[Key,Value]' | sort)"
  kinesis untag-resource --resource-arn "$arn" --tag-keys owner team
  is "untag-resource" 0 "$(text list-tags-for-stream --stream-name orders --query 'length(Tags)')"
fi

is "enable-enhanced-monitoring" $'IncomingBytes\tOutgoingBytes' "$(text enable-enhanced-monitoring --stream-name orders \
  --shard-level-metrics OutgoingBytes IncomingBytes --query 'sort(DesiredShardLevelMetrics)')"
settled orders
is "disable-enhanced-monitoring" $'IncomingBytes' "$(text disable-enhanced-monitoring --stream-name orders \
  --shard-level-metrics OutgoingBytes --query 'DesiredShardLevelMetrics')"
settled orders
kinesis increase-stream-retention-period --stream-name orders --retention-period-hours 48
settled orders
is "increase-stream-retention-period" 48 "$(summary orders RetentionPeriodHours)"
kinesis decrease-stream-retention-period --stream-name orders --retention-period-hours 24
settled orders
is "decrease-stream-retention-period" 24 "$(summary orders RetentionPeriodHours)"
kinesis start-stream-encryption --stream-name orders --encryption-type KMS --key-id alias/aws/kinesis
settled orders
is "start-stream-encryption" $'KMS\talias/aws/kinesis' "$(summary orders '[EncryptionType,KeyId]')"
is "a record says that it is encrypted" KMS \
  "$(raw put-record --stream-name orders --partition-key k --data x --query EncryptionType --output text)"
kinesis stop-stream-encryption --stream-name orders --encryption-type KMS --key-id alias/aws/kinesis
settled orders
is "stop-stream-encryption" NONE "$(summary orders EncryptionType)"
kinesis update-stream-mode --stream-arn "$arn" --stream-mode-details StreamMode=ON_DEMAND
settled orders
is "update-stream-mode" ON_DEMAND "$(summary orders StreamModeDetails.StreamMode)"

# --- consumers ---
consumer=$(text register-stream-consumer --stream-arn "$arn" --consumer-name billing --query Consumer.ConsumerARN)
text register-stream-consumer --stream-arn "$arn" --consumer-name audit >"$TMPDIR/audit"
refuses ResourceInUseException register-stream-consumer --stream-arn "$arn" --consumer-name billing
until [[ $(text describe-stream-consumer --consumer-arn "$consumer" --query ConsumerDescription.ConsumerStatus) == ACTIVE ]]; do :; done
is "list-stream-consumers" $'audit\nbilling' \
  "$(text list-stream-consumers --stream-arn "$arn" --query 'Consumers[].[ConsumerName]' | sort)"
kinesis deregister-stream-consumer --stream-arn "$arn" --consumer-name audit
until [[ $(text list-stream-consumers --stream-arn "$arn" --query 'Consumers[].[ConsumerName]') == billing ]]; do :; done
echo "ok deregister-stream-consumer"
refuses ResourceInUseException delete-stream --stream-name orders
kinesis delete-stream --stream-name orders --enforce-consumer-deletion
kinesis wait stream-not-exists --stream-name orders
echo "ok delete-stream with its consumers, and wait stream-not-exists"
kinesis delete-stream --stream-name clicks
kinesis wait stream-not-exists --stream-name clicks
is "nothing is left" 0 "$(text list-streams --query 'length(StreamNames)')"
