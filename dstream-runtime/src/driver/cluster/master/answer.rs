//! What a master answers to clients.

use super::{Course, Driver};
use crate::connect::unknown;
use crate::driver::cluster::{ClusterNews, Question, ReceiverStatus, Reply};
use crate::exec::job::BuiltJob;
use crate::net::PeerId;
use crate::source::receive::is_pushed;
use crate::wire::{Message, MessageKind, Received};

/// The URLs of a job, for people.
pub(super) struct Urls {
    pub(super) sources: Vec<String>,
    pub(super) outputs: Vec<String>,
}

impl Urls {
    pub(super) fn of(job: &BuiltJob) -> Self {
        Self {
            sources: job.sources.iter().map(|spec| spec.url.clone()).collect(),
            outputs: job.outputs.iter().map(|spec| spec.url.clone()).collect(),
        }
    }
}

impl Driver<'_> {
    /// A process that is not a worker sent a message.
    pub(super) fn asked(&mut self, peer: PeerId, message: Received) {
        let Some(client) = self.members.client_name(peer).map(str::to_owned) else { return };
        if message.kind() != MessageKind::Ask {
            return;
        }
        match message.read::<Question>() {
            Ok(question) => {
                if let Some(reply) = self.answer(peer, &client, question) {
                    self.send(peer, &reply);
                }
            }
            Err(error) => self.net.accuse(peer, &error.to_string()),
        }
    }

    /// Where clients of the library can send to.
    fn doors(&self) -> impl Iterator<Item = ReceiverStatus> {
        self.receivers.open().filter_map(|(source, worker, waiting)| {
            let addr = self.members.addr(worker)?;
            Some(ReceiverStatus {
                stream: self.stream(source),
                worker: self.members.name(worker),
                url: format!("dstream://{addr}"),
                records: 0,
                waiting,
                turned_away: 0,
                error: None,
            })
        })
    }

    /// Why a stream takes no records from clients, if it takes none.
    fn takes_nothing(&self, stream: &str) -> Option<String> {
        let sources = self.plan.sources;
        let Some(index) = sources.iter().position(|source| source.name == stream) else {
            let names: Vec<_> = sources.iter().map(|source| source.name).collect();
            return Some(unknown("stream", stream, "known", &names));
        };
        let url = &self.urls.sources[index];
        if !is_pushed(url).unwrap_or(false) {
            return Some(format!(
                "`{stream}` reads {url} and takes no records from clients; start the job with \
                 --source {stream}=tcp://HOST:PORT or http://HOST:PORT/PATH to send them"
            ));
        }
        self.is_stopping().then(|| "the job is being stopped and takes in nothing more".to_owned())
    }

    /// The answer, unless it follows later.
    fn answer(&mut self, peer: PeerId, client: &str, question: Question) -> Option<Reply> {
        Some(match question {
            Question::Savepoint { name } => return self.savepoint(peer, client, name),
            Question::Status | Question::Workers => Reply::Status(Box::new(self.status())),
            Question::Drain { worker } => match self.members.named(&worker) {
                None => {
                    let names: Vec<_> = self.members.iter().map(|(_, m)| m.name.as_str()).collect();
                    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                    Reply::Refused(format!("there is no worker `{worker}`; there are: {names}"))
                }
                Some(_) if self.members.ready() < 2 => Reply::Refused(format!(
                    "`{worker}` is the only worker; start another one first, or stop the job"
                )),
                Some(id) => {
                    self.drain(id);
                    Reply::Done(format!("`{worker}` hands over what it holds and leaves"))
                }
            },
            Question::Stop { now } => {
                let news = ClusterNews::StopAsked { client: client.to_owned(), now };
                self.master.tell(&news);
                if now {
                    self.take_course(Course::Ends);
                    return Some(Reply::Done("the job ends now".to_owned()));
                }
                self.stop();
                Reply::Done("the job processes what it has received and then ends".to_owned())
            }
            Question::Receivers { stream } => match self.takes_nothing(&stream) {
                Some(why) => Reply::Refused(why),
                None => {
                    let of_stream = |receiver: &ReceiverStatus| receiver.stream == stream;
                    Reply::Receivers(self.doors().filter(of_stream).collect())
                }
            },
        })
    }
}

impl Message for Question {
    const KIND: MessageKind = MessageKind::Ask;
}

impl Message for Reply {
    const KIND: MessageKind = MessageKind::Answer;
}
