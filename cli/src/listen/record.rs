//! The file of `--journal`: each delivery as it came, one JSON object a line.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::entry::Entry;
use super::redact::is_credential;
use crate::capture::Capture;
use crate::failure::Failure;
use crate::provider::Notification;
use crate::terminal;

pub(super) struct Record {
    path: PathBuf,
    notification: Notification,
    file: Mutex<Writing>,
}

struct Writing {
    file: File,
    /// Whether the last line may be cut, because a write failed or another program ended in it.
    is_cut: bool,
    /// Whether the user was told that writing fails.
    is_told: bool,
}

impl Record {
    /// Opens the file to append to it. A new one is only its user's to read.
    pub(super) fn open(path: &Path, notification: &Notification) -> Result<Self, Failure> {
        let unusable = |why: String| Failure::usage(format!("the journal {} {why}", path.display()));
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(unusable("is not a regular file".to_owned()));
        }
        let mut options = File::options();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.open(path).and_then(|mut file| Ok((does_not_end_a_line(&mut file)?, file)));
        let (is_cut, file) = opened.map_err(|error| unusable(format!("cannot be opened: {error}")))?;
        let writing = Writing { file, is_cut, is_told: false };
        Ok(Self { path: path.to_owned(), notification: notification.clone(), file: Mutex::new(writing) })
    }

    /// Appends a delivery. If that fails, the user is told once, and deliveries go on.
    pub(super) fn delivery(&self, entry: &Entry) {
        let line = self.line(entry);
        let mut writing = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let beginning = if writing.is_cut { "\n" } else { "" };
        match writing.file.write_all(format!("{beginning}{line}\n").as_bytes()) {
            Ok(()) => (writing.is_cut, writing.is_told) = (false, false),
            Err(error) => {
                writing.is_cut = true;
                if !std::mem::replace(&mut writing.is_told, true) {
                    let path = terminal::visible_line(&self.path.display().to_string());
                    terminal::note(&format!(
                        "the journal {path} cannot be written: {error}; deliveries go on"
                    ));
                }
            }
        }
    }

    fn line(&self, entry: &Entry) -> String {
        let provider = &entry.provider;
        // A provider of a file may use any header.
        let is_kept = |name: &str| !is_credential(name) || provider.declares_header(name);
        let headers = entry.headers.iter().filter(|(name, _)| is_kept(name.as_str()));
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        Capture {
            provider: provider.clone(),
            url: self.notification.url_of(provider),
            path: Some(entry.path().to_owned()),
            headers: headers.collect(),
            body: entry.body.to_vec(),
            now: Some(entry.at),
            max_age: None,
            secrets: None,
        }
        .to_line()
    }
}

fn does_not_end_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
