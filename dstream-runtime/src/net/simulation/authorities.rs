//! The certificate authorities of simulated worlds.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::process::BEGUN;
use crate::net::trust::Authority;

/// A life so short, with an old issue date, that a certificate is renewed during a world.
pub(super) const SHORT_LIFE: Duration = Duration::from_secs(60);
pub(super) const AGE: Duration = Duration::from_secs(38);
/// Authorities: one with two lives of certificates, and one of another cluster.
pub(crate) struct Authorities {
    _dirs: [TempDir; 2],
    long: Arc<Authority>,
    pub(super) short: Arc<Authority>,
    pub(super) foreign: Arc<Authority>,
}

impl Authorities {
    pub(crate) fn new() -> Self {
        let dirs = [(); 2].map(|()| TempDir::new().expect("a directory"));
        let open = |dir: &TempDir| Authority::open(dir.path(), "job", BEGUN).expect("an authority");
        let short = open(&dirs[0]).with_certificate_life(SHORT_LIFE);
        let (long, foreign) = (open(&dirs[0]), open(&dirs[1]));
        let [long, short, foreign] = [long, short, foreign].map(Arc::new);
        Self { _dirs: dirs, long, short, foreign }
    }

    /// The authority whose certificates outlive every world.
    pub(crate) fn long(&self) -> &Arc<Authority> {
        &self.long
    }
}
