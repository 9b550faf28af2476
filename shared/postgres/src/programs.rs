//! Where the server's programs are.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Debian's package keeps them out of `PATH`, one folder per major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder of `initdb` and `postgres`: `PG_BIN`, Debian's newest version, then `PATH`.
pub(crate) fn folder() -> Option<PathBuf> {
    if let Some(named) = env::var_os("PG_BIN") {
        return Some(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    newest(Path::new(DEBIAN)).or_else(|| env::split_paths(&path).find(|folder| complete(folder)))
}

/// `setpriv` of util-linux, which makes a child end with its parent.
pub(crate) fn setpriv() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|program| program.is_file())
}

fn newest(versions: &Path) -> Option<PathBuf> {
    let version = |name: &OsStr| name.to_str()?.parse::<u32>().ok();
    let entries = versions.read_dir().ok()?.flatten();
    let found = entries.filter_map(|entry| Some((version(&entry.file_name())?, entry.path().join("bin"))));
    found.filter(|(_, folder)| complete(folder)).max().map(|(_, folder)| folder)
}

fn complete(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_newest_complete_version_is_taken() {
        let versions = tempfile::tempdir().unwrap();
        for (version, programs) in
            [("9", &["initdb", "postgres"][..]), ("15", &["initdb", "postgres"]), ("17", &["psql"]), ("common", &[])]
        {
            let bin = versions.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            for program in programs {
                fs::write(bin.join(program), "").unwrap();
            }
        }
        assert_eq!(newest(versions.path()), Some(versions.path().join("15/bin")));
        assert_eq!(newest(&versions.path().join("nowhere")), None);
    }
}
