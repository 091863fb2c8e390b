//! Whether files have changed, by looking now and then: that also notices what a mounted secret
//! does, whose files are replaced by moving a link.

use std::path::PathBuf;
use std::time::SystemTime;

use sfu_server::config::Loaded;

/// The files of a configuration, and what they looked like.
pub(super) struct Watch(Vec<(PathBuf, Option<Look>)>);

/// What tells one content from another without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    length: u64,
}

impl Watch {
    /// Begins to watch what `loaded` was read from, and certificates.
    pub(super) fn new(loaded: &Loaded) -> Self {
        let tls = &loaded.settings.tls;
        let files = loaded.files.iter().chain(&tls.cert_file).chain(&tls.key_file);
        Self(files.map(|file| (file.clone(), look(file))).collect())
    }

    /// Whether any has changed since the last time this was asked.
    pub(super) fn has_changed(&mut self) -> bool {
        let mut has_changed = false;
        for (file, last) in &mut self.0 {
            let now = look(file);
            // A file that is away for a moment is being replaced.
            if now.is_some() && now != *last {
                *last = now;
                has_changed = true;
            }
        }
        has_changed
    }
}

fn look(file: &PathBuf) -> Option<Look> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(Look { modified: metadata.modified().ok(), length: metadata.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_server::config::{Flags, Variables, load};

    #[test]
    fn a_changed_file_is_noticed_once_and_a_missing_one_not_at_all() {
        let path = std::env::temp_dir().join(format!("sfu-watch-{}.toml", std::process::id()));
        std::fs::write(&path, "media.udp_port = 1").unwrap();
        let flags = Flags { config: Some(path.clone()), ..Flags::default() };
        let mut watch = Watch::new(&load(&flags, &Variables::default()).unwrap());
        assert!(!watch.has_changed());
        std::fs::write(&path, "media.udp_port = 12").unwrap();
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        std::fs::remove_file(&path).unwrap();
        assert!(!watch.has_changed());
        std::fs::write(&path, "media.udp_port = 123").unwrap();
        assert!(watch.has_changed());
        std::fs::remove_file(&path).unwrap();
    }
}
