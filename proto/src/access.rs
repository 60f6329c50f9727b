//! Access files: what a worker or a client needs to reach its coordinator. They hold a secret, so they are 0600.

use std::fmt;
use std::path::{Path, PathBuf};

/// The metadata key under which the secret travels.
pub const SECRET_METADATA: &str = "tumble-secret";

/// Where the coordinator listens, and the secret that it knows its own people by.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// As `http://127.0.0.1:4717`.
    pub address: String,
    /// 32 random bytes in hexadecimal.
    pub secret: String,
}

/// The secret stays out of logs.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why an access file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read or written.
    #[error("failed to open the access file {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not an access file.
    #[error("{path} is not an access file: line {line} is not `address = \"…\"` or `secret = \"…\"`")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// Others may read it.
    #[error("{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`, and make a new secret if in doubt")]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl Access {
    /// Reads an access file. One that others can read is refused.
    pub fn read(path: &Path) -> Result<Access, AccessError> {
        let failed = |source| AccessError::File { path: path.to_owned(), source };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(AccessError::Exposed { path: path.to_owned(), mode });
            }
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let (mut address, mut secret) = (None, None);
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let quoted = |rest: &str| rest.trim().strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
            match line.split_once('=').map(|(key, rest)| (key.trim(), quoted(rest))) {
                Some(("address", Some(value))) => address = Some(value),
                Some(("secret", Some(value))) => secret = Some(value),
                Some(("version", _)) => {}
                _ => return Err(AccessError::Malformed { path: path.to_owned(), line: number + 1 }),
            }
        }
        match (address, secret) {
            (Some(address), Some(secret)) => Ok(Access { address, secret }),
            _ => Err(AccessError::Malformed { path: path.to_owned(), line: text.lines().count() }),
        }
    }

    /// Writes the file, readable by its owner alone, in place of any older one.
    pub fn write(&self, path: &Path) -> Result<(), AccessError> {
        use std::io::Write;
        let write = || -> std::io::Result<()> {
            // A fresh file under another name: an old one's permissions, or a link planted in its place, are not kept.
            let fresh = path.with_extension("access.new");
            let _ = std::fs::remove_file(&fresh);
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            {
                use std::os::unix::fs::OpenOptionsExt;
                options.mode(0o600);
            }
            let mut file = options.open(&fresh)?;
            writeln!(file, "# Whoever reads this file can use the coordinator. Keep it to yourself.")?;
            writeln!(file, "version = 1\naddress = \"{}\"\nsecret = \"{}\"", self.address, self.secret)?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)
        };
        write().map_err(|source| AccessError::File { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_access_file_is_private_and_an_exposed_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.access");
        let access = Access { address: "http://127.0.0.1:1".into(), secret: "ab".into() };
        access.write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Access::read(&path).unwrap(), access);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Access::read(&path), Err(AccessError::Exposed { mode: 0o644, .. })));
    }
}
