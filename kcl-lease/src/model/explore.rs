//! Goes through all states, nearest first, so that what breaks a rule is told by its shortest way.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use super::actions::{Game, Step};
use super::state::{Bounds, Bug, Lineage, Met, World};

/// What was found.
#[derive(Debug)]
pub(super) struct Explored {
    pub(super) states: usize,
    pub(super) steps: u64,
    pub(super) met: [u64; Met::ALL.len()],
    /// Whether there were more states than was allowed.
    pub(super) gave_up: bool,
    /// The rule that was broken first, and how it came to that.
    pub(super) broken: Option<String>,
}

/// How a state was first come to.
struct Came {
    from: u64,
    by: Option<Step>,
}

pub(super) fn explore(lineage: Lineage, bounds: Bounds, bug: Option<Bug>) -> Explored {
    let mut game = Game::new(lineage, bounds, bug);
    let mut explored = Explored {
        states: 0,
        steps: 0,
        met: [0; Met::ALL.len()],
        gave_up: false,
        broken: None,
    };
    let start = game.start();
    let mut seen = HashMap::with_hasher(FixedState::with_seed(0));
    let from = name(&start);
    seen.insert(from, Came { from, by: None });
    let mut queue = VecDeque::from([start]);
    let mut next = Vec::new();
    while let Some(world) = queue.pop_front() {
        let from = name(&world);
        game.successors(&world, &mut next);
        for found in next.drain(..) {
            explored.steps += 1;
            for situation in &found.met {
                explored.met[*situation as usize] += 1;
            }
            let to = name(&found.world);
            let is_new = match seen.entry(to) {
                Entry::Occupied(_) => false,
                Entry::Vacant(place) => {
                    place.insert(Came {
                        from,
                        by: Some(found.step),
                    });
                    true
                }
            };
            if let Some(rule) = found.broken {
                explored.broken = Some(way(&seen, from, found.step, &rule, &found.world));
                explored.states = seen.len();
                return explored;
            }
            if is_new {
                queue.push_back(found.world);
            }
        }
        if seen.len() > bounds.states {
            explored.gave_up = true;
            break;
        }
    }
    explored.states = seen.len();
    explored
}

/// What stands for a state. That any two of ten million states share one is less likely than one in a
/// hundred thousand.
fn name(world: &World) -> u64 {
    FixedState::with_seed(1).hash_one(world)
}

fn way(
    seen: &HashMap<u64, Came, FixedState>,
    mut at: u64,
    last: Step,
    rule: &str,
    world: &World,
) -> String {
    let mut steps = vec![last];
    while let Some(Came { from, by: Some(by) }) = seen.get(&at) {
        steps.push(*by);
        at = *from;
    }
    let mut text = format!("{rule}\n");
    for Step { worker, act, fate } in steps.into_iter().rev() {
        _ = writeln!(text, "  worker {worker}: {act:?}, {fate:?}");
    }
    _ = write!(text, "  then: {world:?}");
    text
}
