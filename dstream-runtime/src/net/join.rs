//! Joining: a token for a certificate, on a connection that is good for nothing else.
//!
//! The joiner trusts whoever holds the authority that the token names, and only then says its secret. It
//! goes on to connect like any other process, with the certificate it got.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::Connection;
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

use super::accept::{Failed, first};
use super::connect::{dial, lost};
use super::error::BYE;
use super::frames::{expect, say};
use super::ground::Ground;
use super::hub::Hub;
use super::options::{Limits, calling_from, system_time};
use super::trust::{
    Authority, Identity, KeyPair, Subject, Token, TokenSecret, TrustError, Wall, join_config,
};
use super::{CloseReason, NetError, NetEvent, socket};
use crate::wire::{FrameKind, Hello, Issued, Join, Refusal, check_name};

/// What joining takes.
#[derive(Clone)]
pub struct JoinOptions {
    /// Where the master is.
    pub addr: SocketAddr,
    /// The token.
    pub token: Token,
    /// What this process says about itself; the role is that of the token.
    pub hello: Hello,
    /// The name it would like to have.
    pub name: String,
    /// Which address it calls from: any, on the same side of the loopback as the master.
    pub from: SocketAddr,
    /// The time since the Unix epoch.
    pub wall: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// How long it may take.
    pub limit: Duration,
}

impl JoinOptions {
    /// For a process that runs that plan of that job.
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

/// Buys a certificate with a token. Waits for it, at most for `options.limit`.
///
/// # Errors
/// When the master refuses the token or the process, is not of the token's cluster, or cannot be reached.
pub fn join(options: &JoinOptions) -> Result<Identity, NetError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(NetError::Start)?;
    runtime.block_on(async {
        let (ground, _) = Ground::of_system(&Handle::current(), options.from, 1 << 16)?;
        join_from(ground, options).await
    })
}

/// The same, from a socket that is open.
pub(super) async fn join_from(ground: Ground, options: &JoinOptions) -> Result<Identity, NetError> {
    let joined = timeout(options.limit, ask(ground, options)).await;
    let reason = CloseReason::Unreachable;
    joined.unwrap_or(Err(NetError::Broken { addr: options.addr, reason }))
}

async fn ask(ground: Ground, options: &JoinOptions) -> Result<Identity, NetError> {
    let addr = options.addr;
    check_name(&options.name).map_err(TrustError::Name)?;
    let port = ground.port(None, None)?;
    let wall = Wall(options.wall.clone());
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

/// The other side of it.
pub(super) async fn serve(hub: &Arc<Hub>, connection: &Connection) -> Result<(), Failed> {
    let authority = hub.authority.clone().ok_or(Refusal::NoAuthority)?;
    let (mut send, _recv, join) = first::<Join>(hub, connection, FrameKind::Join).await?;
    hub.hello.judge(&join.hello)?;
    check_name(&join.name)?;
    let now = hub.wall.now();
    let sign = {
        let join = join.clone();
        move || redeem(&authority, &join, now)
    };
    // Files are made durable on the way, which takes milliseconds that others need not wait for.
    let issued =
        hub.control.runtime.spawn_blocking(sign).await.map_err(|_| Refusal::AuthorityFailed)?;
    let issued = issued.map_err(|why| hub.authority_failed(&why))??;
    say(&mut send, FrameKind::Issued, &issued).await?;
    let _ = send.finish();
    if let Ok(subject) = Subject::new(join.hello.role, &hub.hello.job, &join.name) {
        hub.notice(NetEvent::Joined { addr: connection.remote_address(), subject });
    }
    // The joiner hangs up once it has the certificate.
    let _ = timeout(hub.limits.handshake, connection.closed()).await;
    connection.close(BYE, b"");
    Ok(())
}

/// What the joiner is answered, unless something is wrong here.
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
