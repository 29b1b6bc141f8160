//! How UpdateShardCount gets to its number of shards is not told by the service in general. So the
//! reference reads the lineage in the listing, carries out the same splits and merges by its own rules,
//! and the two must then agree in every shard. Recorded totals have tests of their own.

use serde_json::Value;

use crate::world::{Stream, shard_index};

/// Carries out what the listing's new shards say has happened.
pub(crate) fn follow(stream: &mut Stream, at: u64, listing: &Value) -> Result<(), String> {
    let shards = listing["Shards"].as_array().ok_or("no shards")?;
    let known = stream.shards.len();
    let mut new = shards
        .iter()
        .filter(|shard| index(&shard["ShardId"]).is_some_and(|index| index >= known));
    while let Some(shard) = new.next() {
        let parents: Vec<usize> = ["ParentShardId", "AdjacentParentShardId"]
            .iter()
            .filter_map(|member| index(&shard[*member]))
            .collect();
        let whole: Vec<(u128, u128)> = parents
            .iter()
            .filter_map(|parent| stream.shards.get(*parent))
            .filter(|parent| parent.closed.is_none())
            .map(|parent| (parent.start, parent.end))
            .collect();
        let range = range(shard)?;
        let ranges = match whole.as_slice() {
            // A split: the next shard is the other half.
            [(start, end)] => {
                let other = self::range(new.next().ok_or("half a split")?)?;
                let fits = range.0 == *start && other.1 == *end && range.1 + 1 == other.0;
                fits.then(|| vec![range, other])
            }
            [(start, middle), (next, end)] => {
                let fits = middle + 1 == *next && range == (*start, *end);
                fits.then(|| vec![range])
            }
            _ => None,
        };
        let ranges = ranges.ok_or(format!("{shard} does not come from its parents"))?;
        let parents: Vec<u32> = parents
            .iter()
            .map(|at| u32::try_from(*at).unwrap())
            .collect();
        stream.replace(at, &parents, &ranges);
    }
    Ok(())
}

fn index(id: &Value) -> Option<usize> {
    usize::try_from(shard_index(id.as_str()?)?).ok()
}

fn range(shard: &Value) -> Result<(u128, u128), String> {
    let end = |member: &str| {
        let text = shard["HashKeyRange"][member].as_str().ok_or("no range")?;
        text.parse::<u128>().map_err(|error| error.to_string())
    };
    Ok((end("StartingHashKey")?, end("EndingHashKey")?))
}
