//! An item and an expression about it, asked of the emulator and of a naive interpreter. The first byte
//! says how the rest is read: as choices by which a request is made after the grammar, or after the
//! parameters from before expressions, or as the very text of an expression about an item that is
//! always the same.
//!
//! The interpreter shares no code with the emulator and is as simple as can be. It says whether an
//! expression is accepted, whether the condition holds, what becomes of the item, and what is returned;
//! of a refusal it says the kind, not the words. Where several things are wrong, it names all and
//! the emulator one.

mod check;
mod decimal;
mod draw;
mod legacy;
mod meaning;
mod reserved;
mod syntax;
mod value;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use kinesis_emulator::Scope;
use kinesis_emulator::dynamo::Dynamo;
use serde_json::{Value as Json, json};

use check::{Checker, Names, Place, Step};
use draw::{Draw, Writer};
use legacy::Legacy;
use meaning::World;
use value::{Item, Value, item_from_json, item_json};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// A text that the grammar does not have.
    Syntax,
    /// A text that it has, and that cannot be meant.
    Meaning,
    /// More or longer than is allowed.
    Limit,
    /// A placeholder that nothing uses.
    Unused,
    /// What must not be done with a key.
    Key,
    /// A place that the item does not have, and that cannot be made.
    Path,
    /// An operand of the wrong type.
    Type,
    /// An operand that is not there.
    Absent,
    /// A number that cannot be held.
    Number,
}

/// What is asked of the emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verb {
    /// With what is to be returned.
    Update(&'static str),
    Put(Item),
    Delete,
    Get,
    Scan,
}

struct Case {
    verb: Verb,
    old: Option<Item>,
    names: Names,
    /// A condition or a filter.
    condition: Option<String>,
    update: Option<String>,
    projection: Option<String>,
    /// What is asked without expressions, and then nothing is asked with them.
    legacy: Option<Legacy>,
}

/// The trees of what is asked, each with its paths.
struct Asked {
    condition: Option<(syntax::Condition, Vec<Place>)>,
    update: Option<(syntax::Update, Vec<Place>)>,
    projection: Option<(Vec<syntax::Path>, Vec<Place>)>,
}

/// What comes of it.
#[derive(Debug)]
enum Outcome {
    Refused(BTreeSet<Fault>),
    /// The condition does not hold.
    Unmet,
    Done {
        new: Option<Item>,
        /// The item that is returned, if one is.
        shown: Option<Item>,
    },
}

pub(crate) fn run(data: &[u8]) {
    let mut draw = Draw::new(data);
    let case = match draw.below(4) {
        0 | 1 => Case::from_choices(&mut draw),
        2 => Case::from_legacy_choices(&mut draw),
        _ => Case::from_text(&mut draw),
    };
    thread_local! {
        static KEPT: Cell<Option<Tables>> = const { Cell::new(None) };
    }
    // Lost if it panics, and then a new one is made.
    let tables = KEPT.take().unwrap_or_else(Tables::new);
    tables.compare(&case);
    KEPT.set(Some(tables));
}

fn key() -> Item {
    Item::from([("k".to_owned(), Value::Text("row".to_owned()))])
}

fn with_key(mut item: Item) -> Item {
    item.append(&mut key());
    item
}

impl Case {
    fn from_choices(draw: &mut Draw<'_>) -> Self {
        let old = (!draw.one_in(8)).then(|| with_key(draw::attributes(draw, 3)));
        let verb = match draw.below(8) {
            0..=2 => {
                let shown = ["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"];
                Verb::Update(draw.of(&shown))
            }
            3 => Verb::Put(with_key(draw::attributes(draw, 2))),
            4 => Verb::Delete,
            5 | 6 => Verb::Scan,
            _ => Verb::Get,
        };
        let nothing = Item::new();
        let mut writer = Writer::new(draw, old.as_ref().unwrap_or(&nothing));
        let (mut condition, mut update, mut projection) = (None, None, None);
        match verb {
            Verb::Update(_) => {
                update = (!writer.draw.one_in(16)).then(|| writer.update());
                condition = writer.draw.one_in(4).then(|| writer.condition());
            }
            Verb::Put(_) | Verb::Delete => condition = Some(writer.condition()),
            Verb::Scan => {
                condition = Some(writer.condition());
                projection = writer.draw.one_in(4).then(|| writer.projection());
            }
            Verb::Get => projection = Some(writer.projection()),
        }
        let mut names = writer.names;
        if draw.one_in(128) {
            names.values.insert(":unused".to_owned(), Value::Nothing);
        }
        if draw.one_in(128) {
            names.names.insert("#unused".to_owned(), "a".to_owned());
        }
        Self {
            verb,
            old,
            names,
            condition,
            update,
            projection,
            legacy: None,
        }
        .without_idle_values()
    }

    fn from_legacy_choices(draw: &mut Draw<'_>) -> Self {
        let old = (!draw.one_in(6)).then(|| with_key(draw::attributes(draw, 2)));
        let verb = match draw.below(8) {
            0..=3 => {
                let shown = ["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"];
                Verb::Update(draw.of(&shown))
            }
            4 => Verb::Put(with_key(draw::attributes(draw, 1))),
            5 => Verb::Delete,
            _ => Verb::Scan,
        };
        let nothing = Item::new();
        let is_update = matches!(verb, Verb::Update(_));
        let item = old.as_ref().unwrap_or(&nothing);
        let legacy = Legacy::draw(draw, item, is_update, verb != Verb::Scan);
        Self {
            verb,
            old,
            names: Names::default(),
            condition: None,
            update: None,
            projection: None,
            legacy: Some(legacy),
        }
    }

    fn from_text(draw: &mut Draw<'_>) -> Self {
        let (kind, has_old) = (draw.below(5), !draw.one_in(8));
        let text = String::from_utf8_lossy(draw.rest()).into_owned();
        let mut names = Names::default();
        let is_in_text = |mark: &str| {
            text.match_indices(mark).any(|(place, _)| {
                let behind = text[place + mark.len()..].chars().next();
                behind.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
            })
        };
        for (mark, name) in [("#a", "a"), ("#s", "size"), ("#d", "a.b"), ("#m", "m")] {
            if is_in_text(mark) {
                names.names.insert(mark.to_owned(), name.to_owned());
            }
        }
        let fixture: Json = serde_json::from_str(FIXTURE).expect("this is JSON");
        let item = item_from_json(&fixture["item"]);
        for (mark, value) in item_from_json(&fixture["values"]) {
            if is_in_text(&mark) {
                names.values.insert(mark, value);
            }
        }
        let text = Some(text);
        let (verb, condition, update, projection) = match kind {
            0 => (Verb::Update("ALL_NEW"), None, text, None),
            1 => (Verb::Scan, text, None, None),
            2 => (Verb::Get, None, None, text),
            3 => (Verb::Put(key()), text, None, None),
            _ => (Verb::Delete, text, None, None),
        };
        Self {
            verb,
            old: has_old.then(|| with_key(item)),
            names,
            condition,
            update,
            projection,
            legacy: None,
        }
        .without_idle_values()
    }

    /// Values are not taken at all where no expression could use them.
    fn without_idle_values(mut self) -> Self {
        if self.condition.is_none() && self.update.is_none() {
            self.names.values.clear();
        }
        if self.condition.is_none() && self.update.is_none() && self.projection.is_none() {
            self.names.names.clear();
        }
        self
    }

    fn request(&self) -> (&'static str, Json) {
        let mut body = json!({"TableName": "Tab"});
        let condition = if self.verb == Verb::Scan {
            "FilterExpression"
        } else {
            "ConditionExpression"
        };
        for (parameter, text) in [
            (condition, &self.condition),
            ("UpdateExpression", &self.update),
            ("ProjectionExpression", &self.projection),
        ] {
            if let Some(text) = text {
                body[parameter] = json!(text);
            }
        }
        if !self.names.names.is_empty() {
            body["ExpressionAttributeNames"] = json!(self.names.names);
        }
        if !self.names.values.is_empty() {
            body["ExpressionAttributeValues"] = item_json(&self.names.values);
        }
        if let Some(legacy) = &self.legacy {
            legacy.write(&mut body, self.verb == Verb::Scan);
        }
        let operation = match &self.verb {
            Verb::Update(shown) => {
                body["ReturnValues"] = json!(shown);
                "UpdateItem"
            }
            Verb::Put(item) => {
                body["Item"] = item_json(item);
                body["ReturnValues"] = json!("ALL_OLD");
                "PutItem"
            }
            Verb::Delete => {
                body["ReturnValues"] = json!("ALL_OLD");
                "DeleteItem"
            }
            Verb::Get => "GetItem",
            Verb::Scan => "Scan",
        };
        if matches!(operation, "UpdateItem" | "DeleteItem" | "GetItem") {
            body["Key"] = item_json(&key());
        }
        if matches!(operation, "UpdateItem" | "DeleteItem" | "PutItem") {
            body["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
        }
        (operation, body)
    }

    /// Reads and checks all that is asked, without a look at the item.
    fn checked(&self) -> Result<Asked, BTreeSet<Fault>> {
        let mut faults = BTreeSet::new();
        let (condition, update) = (syntax::condition, syntax::update);
        let asked = Asked {
            condition: self.read(&self.condition, condition, Checker::condition, &mut faults),
            update: self.read(&self.update, update, Checker::update, &mut faults),
            projection: self.read(
                &self.projection,
                syntax::projection,
                |checker, paths| checker.projection(paths),
                &mut faults,
            ),
        };
        faults.extend(self.legacy.iter().flat_map(Legacy::faults));
        if faults.is_empty() && self.names.has_unused() {
            faults.insert(Fault::Unused);
        }
        if faults.is_empty() {
            let is_key = |step: &Step| *step == Step::Name("k".to_owned());
            let enters_key = |place: &Place| place.len() > 1 && is_key(&place[0]);
            let mut updated = asked.update.iter().flat_map(|(_, places)| places);
            let mut projected = asked.projection.iter().flat_map(|(_, places)| places);
            let mut tested = asked.condition.iter().flat_map(|(_, places)| places);
            let is_wrong = updated.any(|place| is_key(&place[0]))
                || projected.any(enters_key)
                || self.verb == Verb::Scan && tested.any(enters_key);
            faults.extend(is_wrong.then_some(Fault::Key));
        }
        if faults.is_empty() {
            Ok(asked)
        } else {
            Err(faults)
        }
    }

    /// What the naive interpreter says.
    fn outcome(&self) -> Outcome {
        let asked = match self.checked() {
            Ok(asked) => asked,
            Err(faults) => return Outcome::Refused(faults),
        };
        let nothing = Item::new();
        let world = World {
            item: self.old.as_ref().unwrap_or(&nothing),
            names: &self.names,
        };
        let condition = asked.condition.as_ref();
        let holds = condition.is_none_or(|(condition, _)| world.holds(condition))
            && self
                .legacy
                .as_ref()
                .is_none_or(|legacy| legacy.holds(world.item));
        let old = self.old.clone();
        let projected = |item: Item| match &asked.projection {
            Some((_, places)) => meaning::projected(&item, places),
            None => item,
        };
        let (new, shown) = match &self.verb {
            Verb::Get => (old.clone(), old.map(projected)),
            Verb::Scan => (old.clone(), old.filter(|_| holds).map(projected)),
            _ if !holds => return Outcome::Unmet,
            Verb::Put(new) => (Some(new.clone()), old),
            Verb::Delete => (None, old),
            Verb::Update(shown) => {
                let (new, places) = match self.updated(asked.update) {
                    Ok(updated) => updated,
                    Err(faults) => return Outcome::Refused(faults),
                };
                let shown = match *shown {
                    "ALL_OLD" => old,
                    "ALL_NEW" => new.clone(),
                    "UPDATED_OLD" => old.map(|old| meaning::projected(&old, &places)),
                    "UPDATED_NEW" => new.as_ref().map(|new| meaning::projected(new, &places)),
                    _ => None,
                };
                (new, shown.filter(|shown| !shown.is_empty()))
            }
        };
        Outcome::Done { new, shown }
    }

    /// The row after the update, and the places that it changes.
    fn updated(
        &self,
        update: Option<(syntax::Update, Vec<Place>)>,
    ) -> Result<(Option<Item>, Vec<Place>), BTreeSet<Fault>> {
        if let Some(legacy) = &self.legacy {
            let (new, names) = legacy.updated(self.old.as_ref(), key())?;
            let places = names.into_iter().map(|name| vec![Step::Name(name)]);
            return Ok((new, places.collect()));
        }
        let before = self.old.clone().unwrap_or_else(key);
        let Some((update, places)) = update else {
            return Ok((Some(before), Vec::new()));
        };
        let world = World {
            item: &before,
            names: &self.names,
        };
        Ok((Some(world.updated(&update)?), places))
    }

    /// Reads one expression, and checks it: its tree and its paths.
    fn read<'s, T>(
        &'s self,
        text: &Option<String>,
        read: fn(&str) -> Result<T, Fault>,
        check: fn(&mut Checker<'s>, &T),
        faults: &mut BTreeSet<Fault>,
    ) -> Option<(T, Vec<Place>)> {
        match read(text.as_ref()?) {
            Err(fault) => {
                faults.insert(fault);
                None
            }
            Ok(tree) => {
                let mut checker = Checker::new(&self.names);
                check(&mut checker, &tree);
                faults.extend(checker.faults);
                Some((tree, checker.places))
            }
        }
    }
}

struct Tables {
    dynamo: Dynamo,
    scope: Scope,
}

impl Tables {
    fn new() -> Self {
        let tables = Self {
            dynamo: Dynamo::new(),
            scope: Scope::new("000000000000", "us-east-1"),
        };
        tables.ask(
            "CreateTable",
            &json!({
                "TableName": "Tab",
                "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
            }),
        );
        tables
    }

    /// The reply, or the refusal's kind and body.
    fn call(&self, operation: &str, body: &Json) -> Result<Json, (String, Json)> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let body = body.to_string();
        let read = |body: &[u8]| serde_json::from_slice(body).expect("a reply is JSON");
        match self
            .dynamo
            .call(&self.scope, now, operation, body.as_bytes())
        {
            Ok(reply) => Ok(read(&reply)),
            Err(refusal) => {
                let body = read(&refusal.body());
                Err((refusal.kind, body))
            }
        }
    }

    fn ask(&self, operation: &str, body: &Json) -> Json {
        let reply = self.call(operation, body);
        reply.unwrap_or_else(|refusal| panic!("{operation} {body}: {refusal:?}"))
    }

    fn compare(&self, case: &Case) {
        let row = json!({"TableName": "Tab", "Key": item_json(&key())});
        match &case.old {
            Some(old) => {
                self.ask(
                    "PutItem",
                    &json!({"TableName": "Tab", "Item": item_json(old)}),
                );
            }
            None => drop(self.ask("DeleteItem", &row)),
        }
        let (operation, body) = case.request();
        let answer = self.call(operation, &body);
        let expected = case.outcome();
        let old = || format!("{:?}", case.old.as_ref().map(item_json));
        let asked = || format!("{operation} {body}\nof {}\nanswered {answer:?}", old());
        let after = match &expected {
            Outcome::Refused(faults) => {
                let Err((kind, refusal)) = &answer else {
                    panic!("{faults:?} expected: {}", asked());
                };
                assert!(kind.ends_with("#ValidationException"), "{}", asked());
                let found = fault(refusal["message"].as_str().expect("a message"));
                assert!(
                    is_among(found, faults),
                    "{found:?} is none of {faults:?}: {}",
                    asked()
                );
                &case.old
            }
            Outcome::Unmet => {
                let Err((kind, refusal)) = &answer else {
                    panic!("an unmet condition expected: {}", asked());
                };
                let is_unmet = kind.ends_with("#ConditionalCheckFailedException");
                assert!(is_unmet, "an unmet condition expected: {}", asked());
                let shown = refusal.get("Item").map(item_from_json);
                assert_eq!(shown, case.old, "{}", asked());
                &case.old
            }
            Outcome::Done { new, shown } => {
                let Ok(reply) = &answer else {
                    panic!("{expected:?} expected: {}", asked());
                };
                let found = match operation {
                    "GetItem" => reply.get("Item"),
                    "Scan" => reply["Items"].get(0),
                    _ => reply.get("Attributes"),
                };
                assert_eq!(&found.map(item_from_json), shown, "{}", asked());
                if operation == "Scan" {
                    assert_eq!(reply["Count"], usize::from(shown.is_some()), "{}", asked());
                }
                new
            }
        };
        let found = self.ask("GetItem", &row);
        let found = found.get("Item").map(item_from_json);
        assert_eq!(&found, after, "the item afterwards: {}", asked());
    }
}

const INVALID: &str = "One or more parameter values were invalid: ";
const KEY_UPDATE: &str = "One or more parameter values were invalid: Cannot update attribute k";
const TYPE_MISMATCH: &str = "Type mismatch for attribute to update";

/// What kind of refusal a message is.
fn fault(message: &str) -> Fault {
    let in_expression = ["Condition", "Filter", "Update", "Projection"]
        .iter()
        .find_map(|kind| message.strip_prefix(&*format!("Invalid {kind}Expression: ")));
    let begins = |starts: &[&str]| {
        let text = in_expression.unwrap_or(message);
        starts.iter().any(|start| text.starts_with(start))
    };
    match in_expression {
        Some(_) if begins(&["Syntax error; "]) => Fault::Syntax,
        Some(_)
            if begins(&[
                "The expression contains too many operators; ",
                "List index is not within the allowable range; ",
                "Expression size has exceeded the maximum allowed size; ",
            ]) =>
        {
            Fault::Limit
        }
        Some(_) => Fault::Meaning,
        None if begins(&["Value provided in "]) => Fault::Unused,
        None if begins(&["The document path provided "]) => Fault::Path,
        None if begins(&["An operand in the update expression ", TYPE_MISMATCH]) => Fault::Type,
        None if begins(&["The provided expression refers to an attribute "]) => Fault::Absent,
        None if begins(&[
            "Number overflow",
            "Number underflow",
            "Attempting to store more ",
        ]) =>
        {
            Fault::Number
        }
        None if begins(&["Key attributes must be scalars", KEY_UPDATE]) => Fault::Key,
        None if begins(&[INVALID, "ConditionalOperator can", "The BETWEEN condition "]) => {
            Fault::Meaning
        }
        None => panic!("an unknown refusal: {message}"),
    }
}

/// Whether the emulator's reason is one of the interpreter's. Where a limit is met while the rest is not
/// yet read, it is no one's business what is wrong with the rest.
fn is_among(found: Fault, faults: &BTreeSet<Fault>) -> bool {
    let is_static = |fault: &Fault| matches!(fault, Fault::Syntax | Fault::Meaning | Fault::Limit);
    faults.contains(&found)
        || found == Fault::Limit && faults.iter().any(is_static)
        || is_static(&found) && faults.contains(&Fault::Limit)
}

/// What expressions that are given as texts are about.
const FIXTURE: &str = r#"{
    "item": {
        "a": {"N": "1"}, "b": {"S": "ab"}, "size": {"N": "3"}, "a.b": {"NULL": true},
        "c": {"L": [{"N": "1"}, {"S": "a"}, {"L": [{"N": "2"}]}, {"M": {"a": {"N": "5"}}}]},
        "m": {"M": {"a": {"S": "abc"}, "b": {"L": [{"N": "1"}, {"N": "2"}]}, "m": {"M": {}}}},
        "s": {"SS": ["a", "ab"]}, "n": {"NS": ["1", "2.5"]}, "t": {"BOOL": true}, "y": {"B": "YWI="}
    },
    "values": {
        ":n": {"N": "1"}, ":o": {"N": "2.5"}, ":s": {"S": "ab"}, ":e": {"S": ""}, ":k": {"S": "S"},
        ":y": {"B": "YQ=="}, ":l": {"L": [{"N": "1"}]}, ":m": {"M": {"a": {"S": "abc"}}},
        ":t": {"BOOL": true}, ":z": {"NULL": true}, ":ss": {"SS": ["a"]}, ":ns": {"NS": ["1", "3"]},
        ":bs": {"BS": ["YQ=="]}, ":g": {"N": "90000000000000000000000000000000000000"}
    }
}"#;
