//! The emulator and its peers, asked the same.

use serde_json::{Value, json};

use crate::Error;
use crate::compare::Peer;
use crate::generate::requests::Step;
use crate::wire::{Answer, Server};

/// Pages of one read at most.
const PAGES_MAX: usize = 200;
/// Attempts at which a table becomes active or goes away.
const POLLS_MAX: usize = 2000;

#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) ours: Server,
    pub(crate) peers: [Server; 2],
}

/// What each answered.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) ours: Answer,
    pub(crate) peers: [Answer; 2],
}

impl Answers {
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &Answer)> {
        let peers = Peer::ALL.iter().map(|peer| peer.name()).zip(&self.peers);
        std::iter::once(("emulator", &self.ours)).chain(peers)
    }
}

impl Servers {
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Server> {
        std::iter::once(&mut self.ours).chain(&mut self.peers)
    }

    pub(crate) fn ask(&mut self, step: &Step) -> Result<Answers, Error> {
        if step.to_the_end || step.segments > 0 {
            let ours = read_segments(&mut self.ours, step)?;
            let [one, two] = &mut self.peers;
            return Ok(Answers {
                ours,
                peers: [read_segments(one, step)?, read_segments(two, step)?],
            });
        }
        for server in self.each() {
            server.send(step.operation, &step.body)?;
        }
        let ours = self.ours.receive()?;
        let [one, two] = &mut self.peers;
        Ok(Answers {
            ours,
            peers: [one.receive()?, two.receive()?],
        })
    }

    /// Takes back a table beside the sequence's own, wherever its creation was accepted.
    pub(crate) fn drop_extra(&mut self, step: &Step) -> Result<(), Error> {
        let name = &step.body["TableName"];
        if step.operation != "CreateTable"
            || !matches!(name.as_str(), Some("another" | "ab" | "a/b/c"))
        {
            return Ok(());
        }
        let body = json!({"TableName": name});
        for server in self.each() {
            let mut polls = 0;
            // A table that is being made cannot be deleted yet.
            while server.call("DescribeTable", &body)?.is_success() {
                server.call("DeleteTable", &body)?;
                polls += 1;
                if polls > POLLS_MAX {
                    return Err(format!("{name} does not go").into());
                }
            }
        }
        Ok(())
    }

    /// Waits until every server has the table, or none has it any more.
    pub(crate) fn settle(&mut self, table: &str, there: bool) -> Result<(), Error> {
        let body = json!({"TableName": table});
        for server in self.each() {
            let mut polls = 0;
            loop {
                let answer = server.call("DescribeTable", &body)?;
                let status = answer.body["Table"]["TableStatus"].as_str();
                if (there && status == Some("ACTIVE")) || (!there && !answer.is_success()) {
                    break;
                }
                polls += 1;
                if polls > POLLS_MAX {
                    return Err(format!("{table} does not settle: {answer}").into());
                }
            }
        }
        Ok(())
    }
}

/// Reads one segment after the other, as which rows are in which is up to the server.
fn read_segments(server: &mut Server, step: &Step) -> Result<Answer, Error> {
    if step.segments == 0 {
        return read_all(server, step);
    }
    let mut whole: Option<Answer> = None;
    for segment in 0..step.segments {
        let mut part = step.clone();
        part.body["Segment"] = json!(segment);
        part.body["TotalSegments"] = json!(step.segments);
        let mut answer = read_all(server, &part)?;
        if !answer.is_success() {
            return Ok(answer);
        }
        if let Some(body) = answer.body.as_object_mut() {
            body.remove("Pages");
        }
        match &mut whole {
            None => whole = Some(answer),
            Some(whole) => append(&mut whole.body, &answer.body),
        }
    }
    whole.ok_or_else(|| "no segment".into())
}

/// Follows LastEvaluatedKey; one answer out of all pages, with their number.
fn read_all(server: &mut Server, step: &Step) -> Result<Answer, Error> {
    let mut body = step.body.clone();
    let mut whole: Option<Answer> = None;
    let mut pages = 0;
    loop {
        let mut page = server.call(step.operation, &body)?;
        pages += 1;
        if !page.is_success() || pages > PAGES_MAX {
            return Ok(page);
        }
        let last = page
            .body
            .as_object_mut()
            .and_then(|page| page.remove("LastEvaluatedKey"));
        match &mut whole {
            None => whole = Some(page),
            Some(whole) => append(&mut whole.body, &page.body),
        }
        match (last, &mut whole) {
            (Some(last), _) => body["ExclusiveStartKey"] = last,
            (None, Some(whole)) => {
                whole.body["Pages"] = json!(pages);
                return Ok(whole.clone());
            }
            (None, None) => return Err("no page".into()),
        }
    }
}

fn append(whole: &mut Value, page: &Value) {
    for count in ["Count", "ScannedCount"] {
        let sum = whole[count].as_i64().unwrap_or(0) + page[count].as_i64().unwrap_or(0);
        whole[count] = json!(sum);
    }
    let more = page["Items"].as_array().cloned().unwrap_or_default();
    if let Some(items) = whole.get_mut("Items").and_then(Value::as_array_mut) {
        items.extend(more);
    }
    let more = page["ConsumedCapacity"]["CapacityUnits"].as_f64();
    if let (Some(more), Some(sum)) = (more, whole["ConsumedCapacity"]["CapacityUnits"].as_f64()) {
        whole["ConsumedCapacity"]["CapacityUnits"] = json!(sum + more);
    }
}
