//! Joining: exchanges a token for a certificate, on a connection of its own.
//!
//! The joiner checks that the other side holds the authority named by the token before it sends the token's
//! secret. Afterwards it connects like any other process, with its certificate.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::Connection;
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

use super::accept::{HandshakeFailure, first};
use super::bound_socket::BoundSocket;
use super::connect::{dial, lost};
use super::endpoint_state::EndpointState;
use super::error::BYE;
use super::frames::{expect, say};
use super::options::{Limits, calling_from, system_time};
use super::trust::{
    Authority, Identity, KeyPair, Subject, Token, TokenSecret, TrustError, WallClock, join_config,
};
use super::{CloseReason, NetError, NetEvent, socket};
use crate::wire::{FrameKind, Hello, Issued, Join, Refusal, check_name};

/// Options of a join.
#[derive(Clone)]
pub struct JoinOptions {
    /// The master's address.
    pub addr: SocketAddr,
    /// The token.
    pub token: Token,
    /// The hello of this process; the role comes from the token.
    pub hello: Hello,
    /// The name to ask for.
    pub name: String,
    /// The local address to connect from; loopback if the master is on loopback.
    pub from: SocketAddr,
    /// Returns the time since the Unix epoch.
    pub wall: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Longest duration of the join.
    pub limit: Duration,
}

impl JoinOptions {
    /// Options for a process that runs that plan of that job.
    #[must_use]
    pub fn new(addr: SocketAddr, token: Token, job: &str, plan: u64, name: &str) -> Self {
        Self {
            addr,
            hello: Hello::new(token.role(), job, plan),
            token,
            name: name.to_owned(),
            from: calling_from(addr),
            wall: Arc::new(system_time),
            limit: Duration::from_secs(6),
        }
    }
}

impl fmt::Debug for JoinOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinOptions")
            .field("addr", &self.addr)
            .field("token", &self.token)
            .field("hello", &self.hello)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Exchanges a token for a certificate, blocking at most `options.limit`.
///
/// # Errors
/// When the master refuses the token or the process, belongs to another cluster, or cannot be reached.
pub fn join(options: &JoinOptions) -> Result<Identity, NetError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(NetError::Start)?;
    runtime.block_on(async {
        let (bound, _) = BoundSocket::of_system(&Handle::current(), options.from, 1 << 16)?;
        join_from(bound, options).await
    })
}

/// Joins from a socket that is already open.
pub(super) async fn join_from(
    bound: BoundSocket,
    options: &JoinOptions,
) -> Result<Identity, NetError> {
    let joined = timeout(options.limit, ask(bound, options)).await;
    let reason = CloseReason::Unreachable;
    joined.unwrap_or(Err(NetError::Broken { addr: options.addr, reason }))
}

async fn ask(bound: BoundSocket, options: &JoinOptions) -> Result<Identity, NetError> {
    let addr = options.addr;
    check_name(&options.name).map_err(TrustError::Name)?;
    let port = bound.port(None, None)?;
    let wall = WallClock(options.wall.clone());
    let (tls, seen) = join_config(options.token.authority(), &wall)?;
    let config = socket::client(tls, socket::transport(&Limits::default()))?;
    let broken = |reason| match reason {
        CloseReason::Refused(refusal) => NetError::Refused { addr, refusal: seen.explain(refusal) },
        reason => NetError::Broken { addr, reason },
    };
    let connection = dial(&port, config, addr).await.map_err(&broken)?;
    let key = KeyPair::generate()?;
    let issued = buy(options, &connection, &key).await.map_err(broken)?;
    let identity = Identity::new(key, issued, seen.authority()?, wall.now())?;
    connection.close(BYE, b"");
    port.quinn.wait_idle().await;
    Ok(identity)
}

async fn buy(
    options: &JoinOptions,
    connection: &Connection,
    key: &KeyPair,
) -> Result<Issued, CloseReason> {
    let unusable = |error: TrustError| CloseReason::Transport(error.to_string());
    let (mut send, mut recv) = connection.open_bi().await?;
    let join = Join {
        hello: options.hello.clone(),
        name: options.name.clone(),
        secret: options.token.secret.0,
        key: key.public().map_err(unusable)?,
    };
    say(&mut send, FrameKind::Join, &join).await.map_err(lost)?;
    expect(&mut recv, FrameKind::Issued).await.map_err(lost)
}

/// The master's side of a join.
pub(super) async fn serve(
    state: &Arc<EndpointState>,
    connection: &Connection,
) -> Result<(), HandshakeFailure> {
    let authority = state.authority.clone().ok_or(Refusal::NoAuthority)?;
    let (mut send, _recv, join) = first::<Join>(state, connection, FrameKind::Join).await?;
    state.hello.judge(&join.hello)?;
    check_name(&join.name)?;
    let now = state.wall.now();
    let sign = {
        let join = join.clone();
        move || redeem(&authority, &join, now)
    };
    // Redeeming syncs files, which takes milliseconds: run it off the network thread.
    let issued =
        state.control.runtime.spawn_blocking(sign).await.map_err(|_| Refusal::AuthorityFailed)?;
    let issued = issued.map_err(|why| state.authority_failed(&why))??;
    say(&mut send, FrameKind::Issued, &issued).await?;
    let _ = send.finish();
    if let Ok(subject) = Subject::new(join.hello.role, &state.hello.job, &join.name) {
        state.notice(NetEvent::Joined { addr: connection.remote_address(), subject });
    }
    // The joiner closes the connection once it has the certificate.
    let _ = timeout(state.limits.handshake, connection.closed()).await;
    connection.close(BYE, b"");
    Ok(())
}

/// Returns the joiner's answer, or the failure of this side.
fn redeem(
    authority: &Authority,
    join: &Join,
    now: Duration,
) -> Result<Result<Issued, Refusal>, TrustError> {
    let (role, secret) = (join.hello.role, TokenSecret(join.secret));
    match authority.redeem(&secret, role, now)? {
        Ok(()) => authority.issue(role, &join.name, join.key, now).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}
