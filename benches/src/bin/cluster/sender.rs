//! Protocols for sending lines to a job.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Instant;

use dstream_runtime::client::{AppendStream, Client, ClientOptions};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::started::Started;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// Lines over TCP, without acknowledgement
    Tcp,
    /// HTTP requests, answered once the lines are safe
    Http,
    /// The client library, with acknowledgements
    Client,
}

/// The addresses of a job.
#[derive(Debug, Clone)]
pub(crate) struct Inlet {
    way: Way,
    job: String,
    /// The receiver's.
    address: String,
    /// The master's, and a client's token.
    master: Option<(SocketAddr, PathBuf)>,
}

/// A connected sender.
pub(crate) enum Sender {
    /// Lines as they are.
    Tcp(TcpStream),
    /// Requests, and the answers to them.
    Http(TcpStream, BufReader<TcpStream>),
    /// Appends.
    Client(Runtime, Box<(Client, AppendStream)>),
}

impl Way {
    /// The URL of a source for the protocol. The client library reaches any push source.
    pub(crate) fn url(self) -> &'static str {
        match self {
            Self::Tcp | Self::Client => "tcp://127.0.0.1:0",
            Self::Http => "http://127.0.0.1:0",
        }
    }

    /// Whether a job on that many workers supports the protocol.
    pub(crate) fn reaches(self, workers: u32) -> bool {
        workers > 0 || self != Self::Client
    }
}

impl Inlet {
    /// Reads the addresses of a job that was just started.
    pub(crate) fn of(
        running: &Started,
        job: &str,
        way: Way,
        workers: u32,
    ) -> Result<Self, Box<dyn Error>> {
        let mut master = None;
        if workers > 0 {
            let told = running.wait_for("listening")?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            master = Some((text(&told["address"]).parse()?, text(&told["client_token"]).into()));
        }
        let address = running.address(workers)?;
        Ok(Self { way, job: job.to_owned(), address, master })
    }

    /// Connects to it.
    pub(crate) fn connect(&self) -> io::Result<Sender> {
        match (self.way, &self.master) {
            (Way::Client, Some((master, token))) => {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                let options = ClientOptions::new(&self.job, *master, token.clone());
                let both = runtime.block_on(async {
                    let client = Client::connect(options).await?;
                    let stream = client.open("lines").await?;
                    Ok((client, stream))
                });
                Ok(Sender::Client(runtime, Box::new(both.map_err(failed)?)))
            }
            (Way::Client, None) => Err(io::Error::other("one process has no clients")),
            (way, _) => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                Ok(match way {
                    Way::Http => {
                        let answers = BufReader::new(stream.try_clone()?);
                        Sender::Http(stream, answers)
                    }
                    _ => Sender::Tcp(stream),
                })
            }
        }
    }
}

fn failed(error: dstream_runtime::client::ClientError) -> io::Error {
    io::Error::other(error.to_string())
}

impl Sender {
    /// Sends whole lines, waiting for room.
    pub(crate) fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(lines),
            Self::Http(stream, answers) => {
                let head = format!(
                    "POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n",
                    lines.len()
                );
                stream.write_all(head.as_bytes())?;
                stream.write_all(lines)?;
                answer(answers)
            }
            Self::Client(runtime, both) => runtime.block_on(both.1.send(lines)).map_err(failed),
        }
    }

    /// Sends the same lines repeatedly until a time; returns how often, counting acknowledged ones only
    /// where there are acknowledgements.
    pub(crate) fn send_until(mut self, lines: &[u8], until: Instant) -> io::Result<u64> {
        let mut times = 0;
        while Instant::now() < until {
            self.send(lines)?;
            times += 1;
        }
        self.end()?;
        Ok(times)
    }

    /// Waits for all acknowledgements.
    pub(crate) fn end(self) -> io::Result<()> {
        if let Self::Client(runtime, both) = self {
            let (client, mut stream) = *both;
            runtime.block_on(stream.flush()).map_err(failed)?;
            runtime.block_on(client.close());
        }
        Ok(())
    }
}

/// Reads a response, which must be a success.
fn answer(answers: &mut BufReader<TcpStream>) -> io::Result<()> {
    let (mut length, mut line, mut first) = (0, String::new(), String::new());
    loop {
        line.clear();
        answers.read_line(&mut line)?;
        let text = line.trim().to_ascii_lowercase();
        if first.is_empty() {
            first.clone_from(&text);
        }
        if let Some(n) = text.strip_prefix("content-length:") {
            length = n.trim().parse().unwrap_or(0);
        }
        if text.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    answers.read_exact(&mut body)?;
    if first.contains(" 20") {
        return Ok(());
    }
    Err(io::Error::other(format!("{first}: {}", String::from_utf8_lossy(&body))))
}
