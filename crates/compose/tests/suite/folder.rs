//! A folder with files, gone when the test is over.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use dhow_compose::{
    Error,
    load::{Loaded, Options, load},
};

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("dhow-compose-{}-{number}", std::process::id())).join("app");
        let folder = Self { path };
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn options(&self) -> Options {
        Options { cwd: self.path.clone(), ..Options::default() }
    }

    pub(crate) fn load(&self) -> Result<Loaded, Error> {
        load(&self.options())
    }

    pub(crate) fn load_with(&self, change: impl FnOnce(&mut Options)) -> Result<Loaded, Error> {
        let mut options = self.options();
        change(&mut options);
        load(&options)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(parent) = self.path.parent() {
            std::fs::remove_dir_all(parent).unwrap();
        }
    }
}

pub(crate) fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
