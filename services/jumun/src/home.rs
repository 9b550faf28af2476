//! Where a shop on this machine keeps its database, and a note of where it can be reached.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use service::Env;

/// As root, for projects in folders that are root's alone.
const FOR_EVERYBODY: &str = "/var/lib/jumun";

/// The folder of one shop.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

/// Where a running shop is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Addresses {
    /// The storefront.
    pub(crate) shop: String,
    /// The sandbox, with the money and the phone; a shop that takes real money has none.
    pub(crate) sandbox: Option<String>,
    /// The private database. Not that of `DATABASE_URL`, which may hold a password.
    pub(crate) database: Option<String>,
    /// The stock worker.
    pub(crate) stock_worker: String,
    /// The push worker.
    pub(crate) push_worker: String,
    /// The dead-letter worker.
    pub(crate) dead_letter_worker: String,
}

impl Home {
    /// Reads `JUMUN_DATA_DIR`.
    pub(crate) fn read(env: &mut Env) -> Self {
        Self(env.or(
            "JUMUN_DATA_DIR",
            PathBuf::from(".jumun"),
            "folder where `jumun up` keeps its private database and its addresses",
        ))
    }

    /// The private database's folder. PostgreSQL refuses root, so for root it must be one that others reach.
    pub(crate) fn cluster(&self) -> io::Result<PathBuf> {
        let own = std::path::absolute(&self.0)?.join("postgres");
        Ok(if postgres::can_hold_a_cluster(&own) { own } else { elsewhere(&own) })
    }

    /// Notes where the running shop is reached.
    pub(crate) fn note(&self, addresses: &Addresses) -> anyhow::Result<()> {
        let draft = self.0.join("up.json.new");
        let write = || {
            fs::create_dir_all(&self.0)?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec_pretty(addresses)?)?;
            fs::rename(&draft, self.note_file())
        };
        write().with_context(|| format!("cannot write {}", self.note_file().display()))
    }

    /// Where the shop was last reached; it may have been killed since.
    pub(crate) fn noted(&self) -> Option<Addresses> {
        serde_json::from_slice(&fs::read(self.note_file()).ok()?).ok()
    }

    /// The shop is closed.
    pub(crate) fn forget(&self) -> io::Result<()> {
        fs::remove_file(self.note_file())
    }

    fn note_file(&self) -> PathBuf {
        self.0.join("up.json")
    }
}

/// `/root/shop/.jumun/postgres` becomes `/var/lib/jumun/root-shop-.jumun-postgres`: one place for each project.
fn elsewhere(own: &Path) -> PathBuf {
    let name = own.to_string_lossy().trim_start_matches('/').replace('/', "-");
    Path::new(FOR_EVERYBODY).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home(folder.path().join("new"));
        assert_eq!(home.noted(), None);
        let at = |port| format!("http://127.0.0.1:{port}");
        let addresses = Addresses {
            shop: at(1),
            sandbox: Some(at(2)),
            database: None,
            stock_worker: at(3),
            push_worker: at(4),
            dead_letter_worker: at(5),
        };
        home.note(&addresses).unwrap();
        assert_eq!(home.noted(), Some(addresses));
        home.forget().unwrap();
        assert_eq!(home.noted(), None);
    }

    #[test]
    fn two_private_projects_do_not_share_a_database() {
        let (one, other) = (elsewhere(Path::new("/root/a/postgres")), elsewhere(Path::new("/root/b/postgres")));
        assert_eq!(one, Path::new("/var/lib/jumun/root-a-postgres"));
        assert_ne!(one, other);
    }
}
