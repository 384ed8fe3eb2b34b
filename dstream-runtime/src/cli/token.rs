//! `JOB token`: makes a token on the master's host. It goes to a file or to a pipe, never to a log, and
//! to a terminal only when asked for.

use std::io::IsTerminal;
use std::path::Path;

use super::args::{Holder, Invocation, LogFormat, TokenArgs};
use super::host::state;
use super::news::some;
use super::{Failed, answer, show};
use crate::driver::cluster::MasterPaths;
use crate::net::trust::{Authority, Grant, Token, TrustError};
use crate::wire::Role;

/// Makes a token and writes it where it was asked for.
pub(super) fn make(invocation: &Invocation<'_>, options: &TokenArgs) -> Result<(), Failed> {
    let out = options.out.as_deref();
    if out.is_none() && std::io::stdout().is_terminal() {
        return Err(Failed::Usage(
            "a token is a secret, and standard output is a terminal; write it to a file with --out FILE \
             (or, to read it here, --out -)"
                .to_owned(),
        ));
    }
    let paths = MasterPaths::new(state(invocation));
    let token = grant(&paths, invocation.job.plan().job, options)?;
    match out.filter(|out| *out != Path::new("-")) {
        Some(file) => {
            token.write(file).map_err(failed)?;
            if invocation.engine.log == LogFormat::Text {
                let uses = some(options.uses, "use");
                let line =
                    format!("{}: a token for {}, {uses}", file.display(), whom(options.holder));
                show::lines(&[line]);
            }
            Ok(())
        }
        None => answer(&token.to_text()),
    }
}

fn whom(holder: Holder) -> &'static str {
    match holder {
        Holder::Worker => "workers",
        Holder::Client => "clients",
    }
}

/// A new token of the authority in a master's state directory.
fn grant(paths: &MasterPaths, job: &str, options: &TokenArgs) -> Result<Token, Failed> {
    let authority = paths.authority();
    // An authority that is made now would be of a cluster that does not run.
    if !authority.join("authority.key").exists() {
        return Err(Failed::Job(format!(
            "no master of `{job}` has been started with its state in {}\n  help: run this on the master's \
             host, and name its directory with --state DIR",
            paths.state().display()
        )));
    }
    let now = crate::net::system_time();
    let role = match options.holder {
        Holder::Worker => Role::Worker,
        Holder::Client => Role::Client,
    };
    let grant = Grant { role, uses: options.uses, life: options.expires };
    let token = Authority::open(&authority, job, now).and_then(|a| a.token(grant, now));
    token.map_err(failed)
}

fn failed(error: TrustError) -> Failed {
    match error {
        TrustError::Grant { .. } => Failed::Usage(error.to_string()),
        error => Failed::Job(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(uses: u32) -> TokenArgs {
        let (holder, expires) = (Holder::Client, std::time::Duration::from_secs(60));
        TokenArgs { holder, uses, expires, out: None }
    }

    #[test]
    fn tokens_are_those_of_the_master_in_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let paths = MasterPaths::new(dir.path());
        let none = grant(&paths, "counts", &options(1)).unwrap_err();
        assert!(matches!(none, Failed::Job(why) if why.contains("--state DIR")));
        let now = crate::net::system_time();
        let authority = Authority::open(&paths.authority(), "counts", now).unwrap();
        let token = grant(&paths, "counts", &options(3)).unwrap();
        assert_eq!((token.role(), token.authority()), (Role::Client, authority.fingerprint()));
        assert!(matches!(grant(&paths, "counts", &options(0)), Err(Failed::Usage(_))));
        assert!(matches!(grant(&paths, "views", &options(1)), Err(Failed::Job(_))));
    }
}
