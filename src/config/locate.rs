//! Where a key of the configuration stands: which file and line, or which environment variable.
//!
//! The merged configuration has forgotten where its values came from; this module finds the place again by looking
//! the key's path up in each layer, the last that has it first, because later layers win.

use std::fmt;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TableLike, Value};

/// The path of a key: `targets`, `juno`, `rate`. An element of an array is its index as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// A path of these segments.
    pub fn of<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Self {
        KeyPath(segments.into_iter().map(|s| s.as_ref().to_owned()).collect())
    }

    /// The path of a key below this one.
    #[must_use]
    pub fn join(&self, segment: impl AsRef<str>) -> Self {
        let mut path = self.clone();
        path.0.push(segment.as_ref().to_owned());
        path
    }
}

impl fmt::Display for KeyPath {
    /// Dotted, segments quoted where TOML would want it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            let bare =
                !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            let dot = if i == 0 { "" } else { "." };
            if bare { write!(f, "{dot}{segment}")? } else { write!(f, "{dot}{segment:?}")? }
        }
        Ok(())
    }
}

/// A configuration file as it was read.
pub struct FileLayer {
    /// The path as it was given.
    pub shown: String,
    /// The path, absolute.
    pub path: PathBuf,
    /// The document, with positions.
    pub document: Document<String>,
}

impl fmt::Debug for FileLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileLayer({})", self.shown)
    }
}

impl FileLayer {
    /// The directory against which its relative paths are resolved.
    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// The line of a byte of the document, counted from 1.
    fn line(&self, offset: usize) -> usize {
        line_of(self.document.raw(), offset)
    }

    /// Whether a value that is no table stands at this key.
    fn has_value(&self, path: &KeyPath) -> bool {
        let mut at = Node::Table(self.document.as_table());
        for segment in &path.0 {
            let Some((next, _)) = at.child(segment) else { return false };
            at = next;
        }
        !at.is_table()
    }

    /// How many segments of `path` this file has, and the line of the last one found.
    fn depth(&self, path: &KeyPath) -> (usize, Option<usize>) {
        let mut at = Node::Table(self.document.as_table());
        let mut line = None;
        for (depth, segment) in path.0.iter().enumerate() {
            let Some((next, offset)) = at.child(segment) else { return (depth, line) };
            line = offset.map(|o| self.line(o)).or(line);
            at = next;
        }
        (path.0.len(), line)
    }
}

/// The line of a byte of a text, counted from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count()
}

/// A place in a document from which one can descend.
enum Node<'a> {
    Table(&'a dyn TableLike),
    Item(&'a Item),
    Value(&'a Value),
}

impl<'a> Node<'a> {
    /// Whether keys can stand below it.
    fn is_table(&self) -> bool {
        match self {
            Node::Table(_) => true,
            Node::Item(item) => item.is_table_like() || item.is_array_of_tables(),
            Node::Value(value) => value.is_inline_table(),
        }
    }

    /// What stands below under this key or index, and where.
    fn child(&self, segment: &str) -> Option<(Node<'a>, Option<usize>)> {
        let table = match *self {
            Node::Table(table) => Some(table),
            Node::Item(item) => item.as_table_like(),
            Node::Value(value) => value.as_inline_table().map(|t| t as &dyn TableLike),
        };
        if let Some(table) = table {
            let (key, item) = table.get_key_value(segment)?;
            let span = key.span().or_else(|| item.span());
            return Some((Node::Item(item), span.map(|s| s.start)));
        }
        let index: usize = segment.parse().ok()?;
        let array = match *self {
            Node::Item(item) => match item.as_array_of_tables() {
                Some(tables) => {
                    let table = tables.get(index)?;
                    return Some((Node::Table(table), table.span().map(|s| s.start)));
                }
                None => item.as_array(),
            },
            Node::Value(value) => value.as_array(),
            Node::Table(_) => None,
        };
        let value = array?.get(index)?;
        Some((Node::Value(value), value.span().map(|s| s.start)))
    }
}

/// A setting that an environment variable makes.
#[derive(Clone)]
pub struct EnvLayer {
    /// The variable's name.
    pub name: String,
    /// Its text, which may be a secret.
    pub text: String,
    /// The key that it sets.
    pub path: KeyPath,
}

impl fmt::Debug for EnvLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvLayer({} sets {})", self.name, self.path)
    }
}

/// Every layer of a configuration, the earliest first.
#[derive(Debug, Default)]
pub struct Layers {
    /// The files, later ones win.
    pub files: Vec<FileLayer>,
    /// The environment, which wins over files.
    pub env: Vec<EnvLayer>,
}

/// Where a key stands.
#[derive(Debug)]
pub struct Located<'a> {
    /// The file's path as given, or `environment NAME`.
    pub file: String,
    /// The line, in a file.
    pub line: Option<usize>,
    /// The file, unless it is the environment.
    pub layer: Option<&'a FileLayer>,
}

impl Layers {
    /// Where this key stands; where it stands nowhere (it is missing), where its nearest parent does.
    pub fn locate(&self, path: &KeyPath) -> Located<'_> {
        if let Some(env) = self.env_of(path) {
            return Located { file: format!("environment {}", env.name), line: None, layer: None };
        }
        let mut best: Option<(usize, Option<usize>, &FileLayer)> = None;
        for file in self.files.iter().rev() {
            let (depth, line) = file.depth(path);
            if best.as_ref().is_none_or(|(d, _, _)| depth > *d) {
                best = Some((depth, line, file));
            }
        }
        // A variable that names more than the files know: `ROSTERD_STAET__PATH` for the key `staet`, or for a key that
        // is missing beside it; or one that puts a table where a file has a value.
        let of_files = best.as_ref().map_or(0, |(depth, _, _)| *depth);
        let shared = |e: &&EnvLayer| e.path.0.iter().zip(&path.0).take_while(|(a, b)| a == b).count();
        let beyond = self.env.iter().max_by_key(shared).filter(|e| {
            let replaces = e.path.0.starts_with(&path.0) && self.files.iter().any(|file| file.has_value(path));
            shared(e) > of_files || replaces
        });
        if let Some(env) = beyond {
            return Located { file: format!("environment {}", env.name), line: None, layer: None };
        }
        match best {
            Some((_, line, file)) => Located { file: file.shown.clone(), line, layer: Some(file) },
            None => Located { file: "configuration".into(), line: None, layer: None },
        }
    }

    /// The variable that sets this key or something around it.
    pub fn env_of(&self, path: &KeyPath) -> Option<&EnvLayer> {
        self.env.iter().rev().find(|e| path.0.starts_with(&e.path.0))
    }

    /// Whether variables alone speak of this element of a section, and no file does; then the elements that files have.
    pub fn known_to_variables_alone(&self, path: &KeyPath) -> Option<Vec<String>> {
        let [section, name, ..] = path.0.as_slice() else { return None };
        let element = KeyPath::of([section, name]);
        let by_variable = self.env.iter().any(|e| e.path.0.len() > 2 && e.path.0.starts_with(&element.0));
        if !by_variable || self.files.iter().any(|file| file.depth(&element).0 == 2) {
            return None;
        }
        let names = |file: &FileLayer| {
            let table = file.document.as_table().get(section).and_then(|item| item.as_table_like());
            table.map(|table| table.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()).unwrap_or_default()
        };
        Some(self.files.iter().flat_map(names).collect())
    }

    /// A path that stands at this key, absolute: relative to its file's directory, or to the working directory when
    /// the environment sets it.
    pub fn absolute(&self, key: &KeyPath, path: &Path) -> PathBuf {
        match self.locate(key).layer {
            Some(layer) => layer.directory().join(path),
            None => std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, text: &str) -> FileLayer {
        let document = Document::parse(text.to_owned()).expect("valid TOML");
        FileLayer { shown: name.into(), path: Path::new("/etc/rosterd").join(name), document }
    }

    const TEXT: &str =
        "[a]\nx = 1\ny = { z = [1,\n  2] }\n\n[b.\"c.d\"]\nk = 1\n\n[[t]]\nn = 1\n[[t]]\nn = 2\ne.f = 3\n";

    #[test]
    fn keys_are_found_in_every_shape_of_table() {
        let layers = Layers { files: vec![layer("one.toml", TEXT)], env: vec![] };
        for (path, line) in [
            (vec!["a"], 1),
            (vec!["a", "x"], 2),
            (vec!["a", "y", "z"], 3),
            (vec!["a", "y", "z", "1"], 4),
            (vec!["b", "c.d", "k"], 7),
            (vec!["t", "1"], 11),
            (vec!["t", "1", "n"], 12),
            (vec!["t", "1", "e", "f"], 13),
            (vec!["a", "missing"], 1),
        ] {
            assert_eq!(layers.locate(&KeyPath::of(&path)).line, Some(line), "{path:?}");
        }
    }

    #[test]
    fn the_layer_that_wins_is_the_place() {
        let files = vec![layer("one.toml", TEXT), layer("two.toml", "\n[a]\nx = 2\n")];
        let env = vec![EnvLayer { name: "ROSTERD_B__K".into(), text: "1".into(), path: KeyPath::of(["b", "k"]) }];
        let z = EnvLayer { name: "ROSTERD_Z__K".into(), text: "1".into(), path: KeyPath::of(["z", "k"]) };
        let layers = Layers { files, env: [env, vec![z]].concat() };
        let place = |path: &[&str]| {
            let place = layers.locate(&KeyPath::of(path));
            (place.file, place.line)
        };
        assert_eq!(place(&["a", "x"]), ("two.toml".into(), Some(3)));
        assert_eq!(place(&["a", "y"]), ("one.toml".into(), Some(3)));
        assert_eq!(place(&["b", "k", "deeper"]), ("environment ROSTERD_B__K".into(), None));
        assert_eq!(place(&["z", "missing"]), ("environment ROSTERD_Z__K".into(), None), "files know nothing of z");
        assert_eq!(layers.absolute(&KeyPath::of(["a", "y"]), Path::new("../s")), Path::new("/etc/rosterd/../s"));
    }

    #[test]
    fn a_variable_that_puts_a_table_in_place_of_a_value_is_the_place() {
        let path = KeyPath::of(["a", "x", "y"]);
        let env = vec![EnvLayer { name: "ROSTERD_A__X__Y".into(), text: "1".into(), path }];
        let layers = Layers { files: vec![layer("one.toml", TEXT)], env };
        assert_eq!(layers.locate(&KeyPath::of(["a", "x"])).file, "environment ROSTERD_A__X__Y");
        // What a table of the file lacks is still missing there.
        assert_eq!(layers.locate(&KeyPath::of(["a", "missing"])).file, "one.toml");
    }

    #[test]
    fn a_path_is_shown_as_toml_would_write_it() {
        assert_eq!(
            KeyPath::of(["syncs", "staff", "map", "dimensions.101"]).to_string(),
            r#"syncs.staff.map."dimensions.101""#
        );
    }
}
