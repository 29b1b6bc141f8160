//! One sequence: a table is made, asked and changed for a while, and dropped. Every answer is compared,
//! and after every write the rows it touched.

use serde_json::{Value, json};

use crate::Error;
use crate::canonical::{self, Canonical};
use crate::compare::{Aspect, Difference, Peer, aspect};
use crate::dice::Dice;
use crate::features::Features;
use crate::generate::broken::break_one;
use crate::generate::control;
use crate::generate::requests::{Source, Step};
use crate::generate::tables::Shape;
use crate::report::Report;
use crate::rows::Rows;
use crate::servers::{Answers, Servers};
use crate::wire::Answer;

/// Steps of one sequence.
const STEPS: usize = 60;
/// Share of requests, in percent, that are broken on purpose.
const BROKEN: u32 = 22;
/// Share of requests, in percent, that are about the table itself.
const CONTROL: u32 = 8;

#[derive(Debug)]
pub(crate) struct Sequence<'a> {
    pub(crate) servers: &'a mut Servers,
    pub(crate) report: &'a mut Report,
    pub(crate) dice: Dice,
    pub(crate) seed: u64,
    pub(crate) features: Features,
    pub(crate) shape: Shape,
    pub(crate) rows: Rows,
    pub(crate) step: usize,
    pub(crate) verbose: bool,
    /// No more steps can be compared.
    pub(crate) ends: bool,
}

impl Sequence<'_> {
    pub(crate) fn run(&mut self) -> Result<(), Error> {
        let table = self.shape.name.clone();
        let creation = Step::new("CreateTable", self.shape.creation(&mut self.dice));
        self.ask(&creation, false)?;
        self.servers.settle(&table, true)?;
        for number in 1..=STEPS {
            self.step = number;
            self.one()?;
            if self.ends {
                let step = Step::new("DeleteTable", json!({"TableName": table}));
                self.servers.ask(&step)?;
                return self.servers.settle(&table, false);
            }
        }
        self.step += 1;
        let all = json!({"TableName": table, "ConsistentRead": true});
        self.ask(&Step::new("Scan", all), false)?;
        self.ask(
            &Step::new("DeleteTable", json!({"TableName": table})),
            false,
        )?;
        self.servers.settle(&table, false)
    }

    fn one(&mut self) -> Result<(), Error> {
        if self.dice.percent(CONTROL) {
            let step = control::step(&mut self.dice, &self.shape, self.features);
            self.ask(&step, false)?;
            return self.servers.drop_extra(&step);
        }
        let mut step = Source {
            dice: &mut self.dice,
            shape: &self.shape,
            rows: &self.rows,
            features: self.features,
        }
        .step();
        let broken = self.dice.percent(BROKEN);
        if broken {
            break_one(&mut self.dice, &mut step);
        }
        self.ask(&step, broken)
    }

    fn ask(&mut self, step: &Step, broken: bool) -> Result<(), Error> {
        let keys = touched(&self.shape, step);
        let row = keys
            .first()
            .and_then(|key| self.rows.get(key))
            .cloned()
            .unwrap_or_default();
        let answers = self.servers.ask(step)?;
        if self.verbose {
            eprintln!("{}", self.reproducer(step, &answers, &row));
        }
        self.report
            .request(step.operation, answers.ours.kind(), broken);
        let agrees = self.compare(step, &answers, &row);
        for key in keys {
            self.check_row(step, &answers, &key, agrees)?;
        }
        // A peer that takes a change that the emulator refuses has another table from then on.
        let refused = !answers.ours.is_success() && answers.peers.iter().any(Answer::is_success);
        self.ends |= step.operation == "UpdateTable" && refused;
        Ok(())
    }

    /// Compares the answers; which peers' are equal to the emulator's.
    fn compare(&mut self, step: &Step, answers: &Answers, row: &Value) -> [bool; 2] {
        let ours = Canonical::new(step, &self.shape, &answers.ours);
        let theirs = [0, 1].map(|at| Canonical::new(step, &self.shape, &answers.peers[at]));
        let aspects = [0, 1].map(|at| aspect(&ours, &theirs[at]));
        let close = aspects.map(|aspect| matches!(aspect, None | Some(Aspect::Numbers)));
        let agreeing = close.iter().filter(|close| **close).count();
        self.report.agreement(agreeing);
        for at in [0, 1] {
            let Some(aspect) = aspects[at] else { continue };
            let found = Difference {
                peer: Peer::ALL[at],
                aspect,
                step,
                ours: &ours,
                theirs: &theirs[at],
                indexed: !self.shape.indexes.is_empty(),
            };
            // The other agrees where it is the same at least in this.
            let other_agrees = aspects[1 - at].is_none_or(|other| other > aspect);
            let verdict = found.verdict(other_agrees);
            let reproducer = self.reproducer(step, answers, row);
            self.report.difference(&found, verdict, &reproducer);
        }
        aspects.map(|aspect| {
            aspect.is_none() || aspect == Some(Aspect::Numbers) || aspect == Some(Aspect::Capacity)
        })
    }

    /// Compares a row after a write, and gives the peers the emulator's where they have another.
    fn check_row(
        &mut self,
        step: &Step,
        answers: &Answers,
        key: &Value,
        agrees: [bool; 2],
    ) -> Result<(), Error> {
        let body = json!({"TableName": self.shape.name, "Key": key, "ConsistentRead": true});
        let look = self.servers.ask(&Step::new("GetItem", body))?;
        let own = canonical::item(&look.ours);
        let theirs = [0, 1].map(|at| canonical::item(&look.peers[at]));
        let plain = |item: &Option<Value>| item.as_ref().map(canonical::numbers);
        let equal = [0, 1].map(|at| plain(&theirs[at]) == plain(&own));
        for at in [0, 1] {
            if equal[at] {
                continue;
            }
            // Where the answers differ already, so may the rows.
            if agrees[at] {
                self.note_state(step, answers, &look, at, equal[1 - at]);
            }
            self.give(at, key, look.ours.body.get("Item"))?;
        }
        self.rows.set(key, look.ours.body.get("Item").cloned());
        Ok(())
    }

    fn note_state(
        &mut self,
        step: &Step,
        answers: &Answers,
        look: &Answers,
        at: usize,
        other_agrees: bool,
    ) {
        let ours = Canonical::new(step, &self.shape, &look.ours);
        let theirs = Canonical::new(step, &self.shape, &look.peers[at]);
        let found = Difference {
            peer: Peer::ALL[at],
            aspect: Aspect::State,
            step,
            ours: &ours,
            theirs: &theirs,
            indexed: !self.shape.indexes.is_empty(),
        };
        let verdict = found.verdict(other_agrees);
        let mut reproducer = self.reproducer(step, answers, &Value::Null);
        for (name, answer) in look.each() {
            reproducer.push_str(&format!("          row of {name:9} {answer}\n"));
        }
        self.report.difference(&found, verdict, &reproducer);
    }

    /// Makes a peer's row the emulator's.
    fn give(&mut self, at: usize, key: &Value, row: Option<&Value>) -> Result<(), Error> {
        let table = &self.shape.name;
        let (operation, body) = match row {
            Some(row) => ("PutItem", json!({"TableName": table, "Item": row})),
            None => ("DeleteItem", json!({"TableName": table, "Key": key})),
        };
        let answer = self.servers.peers[at].call(operation, &body)?;
        if answer.is_success() || !is_key(&self.shape, key) {
            return Ok(());
        }
        Err(format!("{} does not take {body}: {answer}", Peer::ALL[at].name()).into())
    }

    /// All it takes to see a difference again.
    fn reproducer(&self, step: &Step, answers: &Answers, row: &Value) -> String {
        let mut text = format!(
            "          --seed {} --sequences 1, step {}\n",
            self.seed, self.step
        );
        let mut pages = if step.to_the_end {
            ", to the end".to_owned()
        } else {
            String::new()
        };
        if step.segments > 0 {
            pages.push_str(&format!(", {} segments", step.segments));
        }
        text.push_str(&format!(
            "          row       {}\n",
            short(&row.to_string())
        ));
        text.push_str(&format!(
            "          {}{pages} {}\n",
            step.operation,
            short(&step.body.to_string())
        ));
        for (name, answer) in answers.each() {
            text.push_str(&format!(
                "          {name:9} {}\n",
                short(&answer.to_string())
            ));
        }
        text
    }
}

/// A text that fits on the screen.
fn short(text: &str) -> String {
    if text.len() <= 1200 {
        return text.to_owned();
    }
    let start: String = text.chars().take(600).collect();
    format!("{start}… ({} bytes)", text.len())
}

/// Whether a value has the attributes of a key with the types they must have.
fn is_key(shape: &Shape, key: &Value) -> bool {
    shape
        .keys()
        .all(|(name, kind)| key[name].get(kind.name()).is_some_and(Value::is_string))
}

/// The keys of the rows that a request may change.
fn touched(shape: &Shape, step: &Step) -> Vec<Value> {
    let body = &step.body;
    let of = |request: &Value| {
        let named = request.get("Item").or_else(|| request.get("Key"))?;
        shape.key_of(named).filter(|key| is_key(shape, key))
    };
    let members = |value: &Value| -> Vec<Value> {
        value
            .as_object()
            .map(|all| all.values().cloned().collect())
            .unwrap_or_default()
    };
    match step.operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => of(body).into_iter().collect(),
        "BatchWriteItem" => {
            let requests = members(&body["RequestItems"]);
            let requests = requests.iter().filter_map(Value::as_array).flatten();
            requests
                .flat_map(members)
                .filter_map(|request| of(&request))
                .collect()
        }
        "TransactWriteItems" => {
            let actions = body["TransactItems"].as_array().into_iter().flatten();
            actions
                .flat_map(members)
                .filter_map(|action| of(&action))
                .collect()
        }
        _ => Vec::new(),
    }
}
