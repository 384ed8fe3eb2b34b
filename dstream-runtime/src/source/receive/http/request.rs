//! One request: whether it is one of ours, its lines, and the answer.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{oneshot, watch};

use super::verdict::{Verdict, judge};
use super::{Comes, Service};
use crate::source::decode::{DecodeScratch, LONE_RETURNS, has_lone_return};
use crate::source::form::{Form, HeaderRow, mark_len};
use crate::source::framing::unfold;
use crate::source::part::Held;
use crate::source::receive::bound::Share;
use crate::source::receive::gather::Arrived;
use crate::source::receive::{ClientBatch, DRAIN, Phase, Refusal, unless};

/// How long a request waits for room before it is told to come again.
const ROOM: Duration = Duration::from_secs(1);

/// How long the next piece of a body may take.
const PAUSE: Duration = Duration::from_secs(30);

/// How long the lines may take to be safe.
const SAFE: Duration = Duration::from_secs(30);

/// What a request costs beside its body, until a batch has taken it.
const COST: usize = 512;

/// A header row is no longer than this.
const MAX_HEADER: usize = 64 << 10;

/// What is said to a client whose lines are not acknowledged.
struct No {
    status: StatusCode,
    why: String,
    again: bool,
    /// The rest of its body is not read, so nothing can follow it.
    close: bool,
}

impl No {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), again: false, close: false }
    }

    fn again(why: &str) -> Self {
        Self { again: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, why) }
    }

    fn close(self) -> Self {
        Self { close: true, ..self }
    }
}

/// Takes the lines of a request in, and answers when they are safe.
pub(super) async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    service: &Service,
    phase: watch::Receiver<Phase>,
) -> Response<String> {
    let mut response = match take_in(request, peer, service, phase).await {
        Ok(verdict) => {
            let mut response = Response::new(verdict.text());
            *response.status_mut() = match (verdict.accepted, verdict.refused) {
                (_, 0) => StatusCode::OK,
                (0, _) => StatusCode::BAD_REQUEST,
                _ => StatusCode::MULTI_STATUS,
            };
            response
        }
        Err(no) => {
            let said = serde_json::json!({ "accepted": 0, "error": no.why });
            let mut response = Response::new(format!("{said}\n"));
            *response.status_mut() = no.status;
            let headers = response.headers_mut();
            if no.again {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            if no.close {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if no.status == StatusCode::METHOD_NOT_ALLOWED {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

async fn take_in(
    request: Request<Incoming>,
    peer: SocketAddr,
    service: &Service,
    mut phase: watch::Receiver<Phase>,
) -> Result<Verdict, No> {
    let (head, body) = request.into_parts();
    if head.uri.path() != service.path {
        let why = format!("nothing is here; lines are posted to {}", service.path);
        return Err(No::new(StatusCode::NOT_FOUND, why).close());
    }
    if head.method != Method::POST {
        let why = "lines are posted: use the method POST";
        return Err(No::new(StatusCode::METHOD_NOT_ALLOWED, why).close());
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let why = "compressed bodies are not read; send the lines as they are";
        return Err(No::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why).close());
    }
    let client = client_batch(&head.headers).map_err(No::close)?;
    if *phase.borrow() != Phase::Open {
        return Err(No::again("the source is being stopped").close());
    }
    let mut reading = pin!(read(body, service));
    let (mut bytes, share) = match unless(&mut phase, Phase::Draining, reading.as_mut()).await {
        Some(read) => read?,
        None => tokio::time::timeout(DRAIN, reading)
            .await
            .unwrap_or_else(|_| Err(No::again("the source is being stopped").close()))?,
    };
    // Where its lines end, before the elements of an array become lines.
    let breaks: Vec<usize> = memchr::memchr_iter(b'\n', &bytes).collect();
    if let Some(outer) = service.form.json {
        bytes = unfold(outer, bytes);
    }
    let (header, position) = begin(&bytes, &service.form)?;
    if service.form.is_text() && breaks.is_empty() && has_lone_return(&bytes) {
        return Err(No::new(StatusCode::BAD_REQUEST, format!("the body {LONE_RETURNS}")));
    }
    let framing = service.form.framing;
    let records = framing.records(&bytes[position..]);
    if records == 0 && client.is_none() {
        return Ok(Verdict::default());
    }
    if records > 0 && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let split = format!("request {} from {peer}", service.next_request()).into();
    let max_line = service.sizes.max_line as u64;
    let whole = Held { header, max_line, framing, ..Held::new(split, 0, bytes) };
    let lines = whole.slice(position, whole.to);
    let verdict = match service.records.check.filter(|_| service.records.validates) {
        Some(check) => {
            let mut scratch = DecodeScratch::new(service.records.floats);
            judge(check, &mut scratch, &breaks, &lines)
        }
        None => Verdict { accepted: records, ..Verdict::default() },
    };
    let (answer, answered) = oneshot::channel();
    let lost = || No::again("it is not known whether the lines were taken; send them again");
    let arrived = Comes::Lines(Arrived { lines, share, client, answer });
    service.arrived.send(arrived).map_err(|_| lost())?;
    match tokio::time::timeout(SAFE, answered).await {
        Ok(Ok(Ok(()))) => Ok(verdict),
        Ok(Ok(Err(refusal))) => Err(refused(&refusal)),
        Ok(Err(_)) | Err(_) => Err(lost()),
    }
}

fn refused(refusal: &Refusal) -> No {
    No::new(StatusCode::CONFLICT, refusal.to_string())
}

/// Reads the body, for which there must be room.
async fn read(body: Incoming, service: &Service) -> Result<(Vec<u8>, Share), No> {
    let too_large = || {
        let why = format!("a body is no larger than {} bytes (`max_body`)", service.max_body);
        No::new(StatusCode::PAYLOAD_TOO_LARGE, why).close()
    };
    let full = || No::again("no more lines can be held until a batch has taken some").close();
    // With a length: all the room at once, so that no request waits for one that waits for it.
    let announced = body.size_hint().exact();
    let mut bytes = Vec::new();
    let mut share = match announced {
        Some(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > service.max_body {
                return Err(too_large());
            }
            bytes.reserve_exact(length + 1);
            let size = (length + COST).min(service.sizes.buffer);
            service.bound.take(size, ROOM).await.ok_or_else(full)?
        }
        None => service.bound.try_take(COST).ok_or_else(full)?,
    };
    let mut body = body;
    loop {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let frame = match tokio::time::timeout(PAUSE, frame).await {
            Err(_) => {
                let why = "the rest of the body did not come";
                return Err(No::new(StatusCode::REQUEST_TIMEOUT, why).close());
            }
            Ok(None) => return Ok((bytes, share)),
            Ok(Some(Err(error))) => {
                // What was wrong in it is said by what caused the error.
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                let why = format!("the body cannot be read: {error}{cause}");
                return Err(No::new(StatusCode::BAD_REQUEST, why).close());
            }
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > service.max_body {
            return Err(too_large());
        }
        if announced.is_none() {
            share.join(service.bound.try_take(data.len()).ok_or_else(full)?);
        }
        bytes.extend_from_slice(&data);
    }
}

/// The header row, if there is one, and where the records begin.
fn begin(bytes: &[u8], form: &Form) -> Result<(Option<Arc<str>>, usize), No> {
    let mark = mark_len(bytes);
    let rest = &bytes[mark..];
    if !form.looks_at_first() || rest.is_empty() && form.header == HeaderRow::IfNamed {
        return Ok((None, mark));
    }
    let bad = |why: String| No::new(StatusCode::BAD_REQUEST, why);
    let end = form.framing.first(rest);
    let header = form.header(&rest[..end]).map_err(bad)?;
    if header.as_deref() == Some("") {
        return Err(bad("the header row, the first one, is empty".to_owned()));
    }
    if header.is_some() && end > MAX_HEADER {
        return Err(bad("the header row, the first one, is too long".to_owned()));
    }
    let begins = if header.is_some() { mark + end } else { mark };
    Ok((header, begins))
}

/// What the client calls these lines: its own name, and the number of this request.
fn client_batch(headers: &HeaderMap) -> Result<Option<ClientBatch>, No> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let bad = |why: &str| Err(No::new(StatusCode::BAD_REQUEST, why));
    match (text("dstream-client"), text("dstream-batch")) {
        (None, None) => Ok(None),
        (Some(client), Some(number)) => {
            let number = number.parse().ok().filter(|number| *number > 0);
            match number {
                Some(number) if !client.is_empty() => Ok(Some(ClientBatch::named(client, number))),
                _ => bad("`Dstream-Client` is a name and `Dstream-Batch` a number from 1 on"),
            }
        }
        _ => bad("`Dstream-Client` and `Dstream-Batch` belong together"),
    }
}
