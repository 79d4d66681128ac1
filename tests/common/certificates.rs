//! Certificates of a server, which openssl makes for the test.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::servers::{give_to_postgres, missing, run};

/// The certificate of a server named `localhost`, the root that signed it, and a root that did not.
pub struct Certificates(TempDir);

impl Certificates {
    /// None where openssl is not installed, but under CI that is a failure.
    pub fn new() -> Option<Self> {
        let Ok(_) = Command::new("openssl").arg("version").output() else { return missing("openssl") };
        let directory = tempfile::tempdir().unwrap();
        let openssl = |arguments: &str| {
            run(Command::new("openssl").args(arguments.split(' ')).current_dir(directory.path()));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        for root in ["root", "other-root"] {
            openssl(&format!("req -x509 {key} -keyout {root}.key -out {root}.crt -subj /CN={root} -days 2"));
        }
        std::fs::write(directory.path().join("name"), "subjectAltName=DNS:localhost").unwrap();
        openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
        openssl(
            "x509 -req -in server.csr -CA root.crt -CAkey root.key -CAcreateserial -extfile name \
             -out server.crt -days 2",
        );
        // PostgreSQL reads no key that others may read.
        give_to_postgres(directory.path());
        Some(Self(directory))
    }

    /// A file: `root.crt`, `other-root.crt`, `server.crt` or `server.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
