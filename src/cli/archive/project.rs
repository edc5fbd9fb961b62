//! Directories of projects, as the original's command-line client makes them: read into an archive, which is what servers
//! take.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use portcullis_http::zip::{self, Files};

use super::unusable;
use crate::exit::Exit;
use crate::failure::Failure;

/// How deep folders are gone into; the original's have four.
const DEPTH_MAX: usize = 16;
/// Files that are read: no project comes near.
const FILES_MAX: usize = 2_000;
/// Bytes of all files together: more than any server unpacks.
const BYTES_MAX: u64 = 64 << 20;

/// Returns an archive of what is in a directory. Files and folders whose names begin with a dot are left out: they belong to
/// version control and editors.
///
/// # Errors
/// Where it cannot be read, is too large, or holds something that is neither a file nor a folder.
pub(super) fn archive_of(directory: &Path) -> Result<Vec<u8>, Failure> {
    zip::write(&files_of(directory)?).map_err(|why| too_large(directory, why))
}

/// Returns what is in a directory, below its name.
///
/// # Errors
/// As for an archive of it.
pub(super) fn files_of(directory: &Path) -> Result<Files, Failure> {
    let name = directory.canonicalize().map_err(|error| unusable(directory, "read", &error))?;
    let name = name.file_name().and_then(|name| name.to_str()).unwrap_or("project").to_owned();
    let mut project = Project { files: Files::new(), bytes: 0 };
    project.read(directory, &name, 0)?;
    Ok(project.files)
}

struct Project {
    files: Files,
    bytes: u64,
}

impl Project {
    fn read(&mut self, directory: &Path, prefix: &str, depth: usize) -> Result<(), Failure> {
        if depth > DEPTH_MAX {
            return Err(too_large(directory, format!("its folders are more than {DEPTH_MAX} deep")));
        }
        for entry in std::fs::read_dir(directory).map_err(|error| unusable(directory, "read", &error))? {
            let path = entry.map_err(|error| unusable(directory, "read", &error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(too_large(&path, "its name is not UTF-8".to_owned()));
            };
            if name.starts_with('.') {
                continue;
            }
            let inside = format!("{prefix}/{name}");
            let about = std::fs::symlink_metadata(&path).map_err(|error| unusable(&path, "read", &error))?;
            if about.is_dir() {
                self.read(&path, &inside, depth + 1)?;
            } else if about.is_file() {
                let content = self.content_of(&path).map_err(|error| unusable(&path, "read", &error))?;
                if self.bytes > BYTES_MAX || self.files.len() >= FILES_MAX {
                    let why = format!("a project has at most {FILES_MAX} files with {BYTES_MAX} bytes together");
                    return Err(too_large(directory, why));
                }
                self.files.insert(inside, content);
            } else {
                let kind = if about.is_symlink() { "a symbolic link" } else { "neither a file nor a folder" };
                return Err(not_taken(&path, kind));
            }
        }
        Ok(())
    }

    /// Reads a file and counts its bytes: at most one more than there may be, whatever its size is said to be.
    fn content_of(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let left = BYTES_MAX.saturating_sub(self.bytes);
        self.bytes += File::open(path)?.take(left + 1).read_to_end(&mut content)? as u64;
        Ok(content)
    }
}

fn not_taken(path: &Path, kind: &str) -> Failure {
    let why = format!("it is {kind}; a project has files and folders alone");
    let next = "put the file itself in its place, or take it out of the directory";
    Failure::new(Exit::Failed, format!("{} cannot be imported", path.display()), why, next)
}

fn too_large(directory: &Path, why: String) -> Failure {
    let what = format!("{} is no project that can be imported", directory.display());
    Failure::new(Exit::Failed, what, why, "give the directory that api.yaml is in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_becomes_an_archive_without_what_is_hidden() {
        let place = tempfile::tempdir().unwrap();
        let project = place.path().join("pizza");
        std::fs::create_dir_all(project.join("Definitions")).unwrap();
        std::fs::create_dir_all(project.join(".git")).unwrap();
        for (name, text) in [("api.yaml", "a"), ("Definitions/swagger.yaml", "b"), (".git/config", "c")] {
            std::fs::write(project.join(name), text).unwrap();
        }
        let files = zip::read(&archive_of(&project).unwrap()).unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["pizza/Definitions/swagger.yaml", "pizza/api.yaml"]);
        assert!(archive_of(&place.path().join("nothing")).is_err());
    }

    #[test]
    fn what_is_neither_a_file_nor_a_folder_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("secret"), "s").unwrap();
        for (name, target) in [("file", "secret"), ("folder", "."), ("nowhere", "nothing")] {
            let project = place.path().join(format!("with-{name}"));
            std::fs::create_dir(&project).unwrap();
            std::os::unix::fs::symlink(place.path().join(target), project.join(name)).unwrap();
            let said = archive_of(&project).unwrap_err().summary();
            assert!(said.contains(&format!("with-{name}/{name} ")) && said.contains("symbolic link"), "{said}");
        }
        let project = place.path().join("with-socket");
        std::fs::create_dir(&project).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(project.join("s")).unwrap();
        let said = archive_of(&project).unwrap_err().summary();
        assert!(said.contains("with-socket/s ") && said.contains("neither a file nor a folder"), "{said}");
    }
}
