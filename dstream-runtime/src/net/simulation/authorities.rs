//! Who certifies the processes of simulated hosts.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::process::BEGUN;
use crate::net::trust::Authority;

/// A certificate that lasts so long, and was made so long ago, is renewed while the world lasts.
pub(super) const SHORT_LIFE: Duration = Duration::from_secs(60);
pub(super) const AGE: Duration = Duration::from_secs(38);
/// Who certifies: the same authority with two lives of certificates, and one of another cluster.
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

    /// Of a cluster whose certificates last longer than any world.
    pub(crate) fn long(&self) -> &Arc<Authority> {
        &self.long
    }
}
