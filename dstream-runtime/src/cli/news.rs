//! What happens in a cluster, as lines of a log.

use serde_json::{Value, json};

use super::log::Level;
use super::show::Told;
use super::words::bytes;
pub(super) use super::words::some;
use crate::driver::cluster::{ClusterNews, StandbyNews, WorkerNews};

impl Told for ClusterNews {
    fn level(&self) -> Level {
        match self {
            Self::TurnedAway { .. } | Self::Slow { .. } | Self::Left { .. } => Level::Warn,
            _ => Level::Info,
        }
    }

    fn lines(&self) -> Vec<String> {
        vec![match self {
            Self::Waiting { have, want } => {
                format!("waiting for workers: {have} of {want} {} here", be(*have))
            }
            Self::Joined { worker, addr, cores, memory } => {
                let (threads, memory) = (some(*cores, "thread"), bytes(*memory));
                format!("{worker} joined from {addr}: {threads}, {memory} of memory")
            }
            Self::TurnedAway { addr, why } => format!("{addr} was turned away: {why}"),
            Self::Placed { epoch, first, workers, moved } => {
                let moved = match moved {
                    0 => String::new(),
                    moved => format!("; {} to another worker", some_move(*moved)),
                };
                format!("{epoch} from {first} on: {}{moved}", some(*workers, "worker"))
            }
            Self::Recovering { first, workers, moved, .. } => format!(
                "{} on {} from what was saved; computed again from {first} on",
                some_go(*moved),
                some(*workers, "worker")
            ),
            Self::Resumed { term, first, again } => {
                let again = match again {
                    0 => String::new(),
                    again => format!("; {again} before it run again"),
                };
                format!("goes on with {first}, as master number {term} of this job{again}")
            }
            Self::Slow { worker, times, partitions, of, share } => format!(
                "{worker} is slow ({times:.1} x): it owns {partitions} of {of} partitions and reads {share} % of \
                 the input"
            ),
            Self::FastAgain { worker, partitions, of } => {
                format!(
                    "{worker} is as fast as others again: it owns {partitions} of {of} partitions"
                )
            }
            Self::Draining { worker } => format!("{worker} hands over what it holds"),
            Self::Drained { worker } => format!("{worker} holds nothing any more and may go"),
            Self::Left { worker, why } => format!("{worker} is gone: {why}"),
            Self::Receiving { stream, worker, url } => {
                format!("{worker} takes in `{stream}` at {url}")
            }
            Self::Awaiting { what, workers, seconds } => {
                let whom = match workers.is_empty() {
                    true => "workers of before".to_owned(),
                    false => workers.join(", "),
                };
                format!(
                    "acknowledged records are held by no worker that is there: {what}; waiting for {whom}, at \
                     most {seconds} s"
                )
            }
            Self::Savepoint { url, published, client } => {
                format!("{client} has a savepoint of all up to {published}: {url}")
            }
            Self::StopAsked { client, now } => {
                let how = if *now { "at once" } else { "after what was received is processed" };
                format!("{client} asked for the end of the job, {how}")
            }
        }]
    }

    fn json(&self) -> Value {
        of(serde_json::to_value(self))
    }
}

impl Told for WorkerNews {
    fn level(&self) -> Level {
        match self {
            Self::MasterGone { .. } | Self::Warning(_) => Level::Warn,
            _ => Level::Info,
        }
    }

    fn lines(&self) -> Vec<String> {
        vec![match self {
            Self::Certified { name, authority } => {
                format!("joined as {name}; authority {authority}")
            }
            Self::Connected { master, listen } => {
                format!("connected to the master at {master}; listens on {listen}")
            }
            Self::Placed { epoch, first, partitions } => {
                format!("{epoch} from {first} on: {}", some(*partitions, "partition"))
            }
            Self::Receiving { stream, url } => format!("takes in `{stream}` at {url}"),
            Self::Draining => "hands over what it holds".to_owned(),
            Self::Drained => "holds nothing any more and leaves".to_owned(),
            Self::Over => "the job is over".to_owned(),
            Self::MasterGone { master, why } => format!(
                "the master at {master} is gone ({why}): waits for it to start again, or for another"
            ),
            Self::Warning(message) => message.clone(),
        }]
    }

    fn json(&self) -> Value {
        of(serde_json::to_value(self))
    }
}

impl Told for StandbyNews {
    fn level(&self) -> Level {
        match self {
            Self::Lost { .. } => Level::Warn,
            _ => Level::Info,
        }
    }

    fn lines(&self) -> Vec<String> {
        vec![match self {
            Self::Follows { master } => format!("stands by for the master at {master}"),
            Self::Lost { master, why } => format!("the master at {master} is gone: {why}"),
            Self::TakesOver => "no master is left: this one takes over".to_owned(),
            Self::JobOver => "the job is over: it was stopped or has read all its input".to_owned(),
        }]
    }

    fn json(&self) -> Value {
        of(serde_json::to_value(self))
    }
}

/// News is plain data: it has a form as JSON.
fn of(value: serde_json::Result<Value>) -> Value {
    value.unwrap_or_else(|error| json!({"event": "warning", "message": error.to_string()}))
}

fn some_go(n: u32) -> String {
    format!("{} {}", some(n, "partition"), if n == 1 { "goes" } else { "go" })
}

fn be(n: u32) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

fn some_move(n: u32) -> String {
    format!("{} {}", some(n, "partition"), if n == 1 { "moves" } else { "move" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{BatchSeq, Epoch};

    #[test]
    fn news_of_a_master() {
        let (worker, addr) = ("w1".to_owned(), "10.0.0.2:4000".parse().unwrap());
        let joined = ClusterNews::Joined { worker, addr, cores: 1, memory: 2 << 30 };
        assert_eq!(joined.lines(), ["w1 joined from 10.0.0.2:4000: 1 thread, 2.0 GiB of memory"]);
        assert_eq!(
            joined.json(),
            json!({
                "event": "joined", "worker": "w1", "addr": "10.0.0.2:4000", "cores": 1,
                "memory": 2_147_483_648u64,
            })
        );
        let placed = |moved| {
            let (epoch, first) = (Epoch(2), BatchSeq(7));
            ClusterNews::Placed { epoch, first, workers: 2, moved }.lines().concat()
        };
        assert_eq!(placed(0), "epoch 2 from batch 7 on: 2 workers");
        let one = "epoch 2 from batch 7 on: 2 workers; 1 partition moves to another worker";
        assert_eq!(placed(1), one);
    }

    #[test]
    fn news_of_a_worker() {
        let placed = WorkerNews::Placed { epoch: Epoch(1), first: BatchSeq(1), partitions: 4 };
        assert_eq!(placed.lines(), ["epoch 1 from batch 1 on: 4 partitions"]);
        assert_eq!(
            placed.json(),
            json!({"event": "placed", "epoch": 1, "first": 1, "partitions": 4})
        );
        assert_eq!(WorkerNews::Over.json(), json!({"event": "over"}));
        let warning = WorkerNews::Warning("slow".to_owned());
        assert_eq!(warning.json(), json!({"event": "warning", "message": "slow"}));
    }
}
