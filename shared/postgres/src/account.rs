//! The account that the server runs as: PostgreSQL refuses to run as root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// A user that root becomes before it starts the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` for whoever is not root: the server then runs as its caller.
    pub(crate) fn of_server() -> io::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let user = |name| users.lines().find_map(|line| parse(line).filter(|account| account.name == name));
        let account = user("postgres").or_else(|| user("nobody"));
        account.map(Some).ok_or_else(|| io::Error::other("no user postgres or nobody to run the server as"))
    }

    pub(crate) fn becomes(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    pub(crate) fn owns(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    /// Whether every folder on the way to `path` lets the user through; what does not exist yet will be ours.
    pub(crate) fn reaches(&self, path: &Path) -> bool {
        let ways = path.ancestors().filter_map(|folder| fs::metadata(folder).ok());
        ways.into_iter().all(|folder| {
            let (owner, group) = (folder.uid() == self.uid, folder.gid() == self.gid);
            let may_enter = if owner {
                0o100
            } else if group {
                0o010
            } else {
                0o001
            };
            folder.mode() & may_enter != 0
        })
    }
}

fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Account { name, uid, gid })
}

/// Whether a cluster could live there: as root the server runs as somebody else, who must be let in.
pub fn can_hold_a_cluster(folder: &Path) -> bool {
    match Account::of_server() {
        Ok(Some(account)) => account.reaches(folder),
        Ok(None) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_private_folder_above_is_noticed() {
        let stranger = parse("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin").unwrap();
        assert_eq!((stranger.uid, stranger.gid), (65534, 65534));
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o755);
        assert!(stranger.reaches(&folder.path().join("not/yet")));
        set(0o700);
        assert!(!stranger.reaches(&folder.path().join("not/yet")));
    }
}
