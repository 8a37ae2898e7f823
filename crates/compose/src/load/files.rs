//! Which files make the project, in which folder, with which environment and name.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::{Path, PathBuf},
};

use super::{
    canonical,
    decode::{self, Context, clean},
    dotenv, extends, include,
    interpolate::{interpolate, substitute},
    merge, name,
};
use crate::{
    error::Error,
    model::{Project, Service},
    yaml::{self, Cursor, Node},
};

const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What was said on the command line and by the environment.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The current folder, absolute.
    pub cwd: PathBuf,
    /// `--file`; `-` is standard input.
    pub files: Vec<String>,
    /// `--project-name`.
    pub name: Option<String>,
    /// `--project-directory`.
    pub directory: Option<PathBuf>,
    /// `--env-file`.
    pub env_files: Vec<String>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// Services named on the command line: their profiles count as enabled.
    pub services: Vec<String>,
    /// Variables of the process.
    pub env: BTreeMap<String, String>,
}

/// A project and what is to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What the user should know although nothing is wrong.
    pub warnings: Vec<String>,
    /// The environment after `.env` files.
    pub env: BTreeMap<String, String>,
}

/// Loads the project.
///
/// # Errors
/// No file, an unreadable one, or the first fault in one, with its place.
pub fn load(options: &Options) -> Result<Loaded, Error> {
    let mut env = options.env.clone();
    let first = options.files.first().filter(|file| *file != "-").map(|file| options.cwd.join(file));
    let start = options
        .directory
        .clone()
        .or_else(|| first.as_deref().and_then(Path::parent).map(Path::to_path_buf))
        .unwrap_or_else(|| options.cwd.clone());
    let start = clean(&options.cwd.join(start));
    let env_files = read_env(options, &start, &mut env)?;
    let files = discover(options, &start, &env)?;
    let home = files
        .first()
        .and_then(|file| file.path.parent())
        .map_or_else(|| options.cwd.clone(), Path::to_path_buf);
    let directory = clean(&options.directory.as_ref().map_or(home, |directory| options.cwd.join(directory)));
    if directory != start && options.env_files.is_empty() {
        add_env(&directory.join(".env"), &mut env, false)?;
    }
    let mut texts = Vec::new();
    for file in &files {
        texts.push((file, file.read()?));
    }
    let name = project_name(options, &texts, &env, &directory)?;
    name::check(&name)?;
    env.insert("COMPOSE_PROJECT_NAME".into(), name.clone());
    let unset = RefCell::new(BTreeSet::new());
    let mut reader = Reader { env: &env, unset: &unset };
    let mut merged: Option<Node> = None;
    for (file, text) in &texts {
        let node = reader.text(text, &file.shown)?;
        let folder = file.path.parent().unwrap_or(&directory);
        let folder = if file.path.as_os_str() == "-" { &directory } else { folder };
        let node = reader.finish(node, folder, merged.as_ref(), &mut vec![file.path.clone()])?;
        match &mut merged {
            None => merged = Some(node),
            Some(base) => merge::merge(base, node),
        }
    }
    let mut root = merged.ok_or_else(|| Error::invalid("no configuration file given"))?;
    canonical::strip_tags(&mut root);
    let listed = env
        .get("COMPOSE_PROFILES")
        .map(|list| list.split(',').map(|name| name.trim().to_owned()).collect())
        .unwrap_or_default();
    let profiles: BTreeSet<String> =
        if options.profiles.is_empty() { listed } else { options.profiles.iter().cloned().collect() };
    let wanted = options.services.iter().cloned().collect();
    let context = Context { directory: &directory, env: &env, warnings: RefCell::default() };
    let mut project = decode::project(&root, &name, &context, &profiles, &wanted)?;
    project.files = files.into_iter().map(|file| file.path).collect();
    let mut warnings: Vec<String> = unset
        .take()
        .into_iter()
        .map(|name| format!("The \"{name}\" variable is not set. Defaulting to a blank string."))
        .collect();
    warnings.extend(context.warnings.take());
    project.directory = directory;
    project.env_files = env_files;
    Ok(Loaded { project, warnings, env })
}

/// Reads one service out of a text in a file's form: how options of the command line are read.
pub(crate) fn service_of_text(
    text: &str,
    shown: &str,
    name: &str,
    directory: &Path,
) -> Result<Service, Error> {
    let mut node = yaml::parse(text, shown)?;
    canonical::canonical(&mut node)?;
    let env = std::env::var("HOME").map(|home| ("HOME".to_owned(), home)).into_iter().collect();
    let context = Context { directory, env: &env, warnings: RefCell::default() };
    let service = node.as_map().and_then(|map| map.get("services")?.as_map()?.get(name));
    let service = service.ok_or_else(|| Error::invalid(format!("no service \"{name}\" in {shown}")))?;
    decode::service(&Cursor { node: service, path: String::new() }, name, &context)
}

/// A compose file: where it is and how the user calls it.
#[derive(Debug)]
struct File {
    path: PathBuf,
    shown: String,
}

impl File {
    fn read(&self) -> Result<String, Error> {
        if self.path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            return Ok(text);
        }
        std::fs::read_to_string(&self.path).map_err(Error::io(&self.path))
    }
}

fn discover(options: &Options, start: &Path, env: &BTreeMap<String, String>) -> Result<Vec<File>, Error> {
    let named: Vec<String> =
        match (options.files.is_empty(), env.get("COMPOSE_FILE").filter(|list| !list.is_empty())) {
            (false, _) => options.files.clone(),
            (true, Some(list)) => list
                .split(env.get("COMPOSE_PATH_SEPARATOR").map_or(":", String::as_str))
                .map(str::to_owned)
                .collect(),
            (true, None) => Vec::new(),
        };
    if !named.is_empty() {
        let file = |name: &String| File {
            path: if name == "-" { PathBuf::from("-") } else { clean(&options.cwd.join(name)) },
            shown: name.clone(),
        };
        return Ok(named.iter().map(file).collect());
    }
    for folder in start.ancestors() {
        let Some(main) = NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else {
            continue;
        };
        let over = OVERRIDES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let shown =
            |path: &Path| path.strip_prefix(&options.cwd).unwrap_or(path).to_string_lossy().into_owned();
        return Ok(std::iter::once(main)
            .chain(over)
            .map(|path| File { shown: shown(&path), path })
            .collect());
    }
    Err(Error::invalid(format!(
        "no configuration file provided: not found (looked for {} in {} and above)",
        NAMES.join(", "),
        start.display()
    )))
}

/// `--env-file`, else `COMPOSE_ENV_FILES`, else `.env`; what the process has wins.
fn read_env(
    options: &Options,
    start: &Path,
    env: &mut BTreeMap<String, String>,
) -> Result<Vec<PathBuf>, Error> {
    let listed = env
        .get("COMPOSE_ENV_FILES")
        .map(|list| list.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    let named: Vec<String> = if options.env_files.is_empty() { listed } else { options.env_files.clone() };
    if named.is_empty() {
        add_env(&start.join(".env"), env, false)?;
        return Ok(Vec::new());
    }
    let paths: Vec<PathBuf> = named.iter().map(|file| clean(&options.cwd.join(file))).collect();
    // The later file wins, and no file wins over the process: so the last is added first.
    for path in paths.iter().rev() {
        add_env(path, env, true)?;
    }
    Ok(paths)
}

fn add_env(path: &Path, env: &mut BTreeMap<String, String>, required: bool) -> Result<(), Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(()),
        Err(error) => return Err(Error::io(path)(error)),
    };
    let values = dotenv::parse(&text, env)
        .map_err(|message| Error::invalid(format!("{}: {message}", path.display())))?;
    for (key, value) in values {
        env.entry(key).or_insert(value);
    }
    Ok(())
}

fn project_name(
    options: &Options,
    texts: &[(&File, String)],
    env: &BTreeMap<String, String>,
    directory: &Path,
) -> Result<String, Error> {
    if let Some(name) = options
        .name
        .clone()
        .or_else(|| env.get("COMPOSE_PROJECT_NAME").cloned())
        .filter(|name| !name.is_empty())
    {
        return Ok(name);
    }
    for (file, text) in texts.iter().rev() {
        let node = yaml::parse(text, &file.shown)?;
        let Some(name) = node.as_map().and_then(|map| map.get("name")).filter(|node| !node.is_null()) else {
            continue;
        };
        let cursor = Cursor { node: name, path: "name".into() };
        let name =
            substitute(cursor.text()?, env, &mut BTreeSet::new()).map_err(|message| cursor.fail(message))?;
        return name::check(&name).map(|()| name).map_err(|error| cursor.fail(error.to_string()));
    }
    let folder = directory.file_name().unwrap_or_default().to_string_lossy();
    let name = name::normalise(&folder);
    if name.is_empty() {
        return Err(Error::invalid(format!(
            "the folder {} gives no project name: use --project-name",
            directory.display()
        )));
    }
    Ok(name)
}

/// Reads files into canonical trees.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) unset: &'a RefCell<BTreeSet<String>>,
}

impl Reader<'_> {
    /// Text → interpolated, canonical tree.
    fn text(&mut self, text: &str, shown: &str) -> Result<Node, Error> {
        let mut node = yaml::parse(text, shown)?;
        if !node.is_null() {
            Cursor::root(&node).map()?;
        }
        interpolate(&mut node, self.env, &mut self.unset.borrow_mut())?;
        canonical::canonical(&mut node)?;
        Ok(node)
    }

    /// A file → interpolated, canonical tree.
    pub(super) fn canonical(&mut self, path: &Path, shown: &str) -> Result<Node, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        self.text(&text, shown)
    }

    /// A file with what it extends and includes. `folder` is what its paths are relative to.
    pub(super) fn whole(
        &mut self,
        path: &Path,
        shown: &str,
        folder: &Path,
        earlier: Option<&Node>,
        trail: &mut Vec<PathBuf>,
    ) -> Result<Node, Error> {
        let node = self.canonical(path, shown)?;
        self.finish(node, folder, earlier, trail)
    }

    fn finish(
        &mut self,
        mut node: Node,
        folder: &Path,
        earlier: Option<&Node>,
        trail: &mut Vec<PathBuf>,
    ) -> Result<Node, Error> {
        include::resolve(&mut node, folder, trail, self)?;
        extends::resolve(&mut node, folder, earlier, self)?;
        Ok(node)
    }

    /// Files of this machine only: a compose file fetches nothing by itself.
    pub(super) fn local(&self, cursor: &Cursor<'_>, file: &str) -> Result<(), Error> {
        let remote = file.contains("://")
            || file.starts_with("git@")
            || file.starts_with("oci:")
            || file.starts_with("github.com/");
        if remote {
            return Err(cursor.fail(format!("{file}: only local files can be read; fetch it first")));
        }
        Ok(())
    }
}
