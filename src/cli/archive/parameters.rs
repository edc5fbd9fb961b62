//! Parameters of one environment, as the original's command-line client takes them (`--params`): put beside a project so that
//! servers let them go before what the project says.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_http::zip::{self, Files};
use serde_json::Value;

use super::{project, read_file, unusable};
use crate::exit::Exit;
use crate::failure::{Failure, why_no_yaml};

/// The file that says them, in a folder of parameters.
const FILE: &str = "params.yaml";

/// Which parameters go with a project.
#[derive(Debug, Args)]
pub(super) struct Parameters {
    /// Of APIs and products: a file of parameters by environment, or the folder with params.yaml and certificates that apictl's
    /// gen deployment-dir makes; `${NAME}` in it is the environment variable of that name.
    #[arg(long, value_name = "FILE", requires = "environment")]
    params: Option<PathBuf>,
    /// Whose parameters are meant.
    #[arg(short, long, value_name = "NAME", requires = "params")]
    environment: Option<String>,
}

impl Parameters {
    /// Returns the archive of a project with the parameters beside it, where there are any.
    ///
    /// # Errors
    /// Where they cannot be read, do not name the environment, or need a variable that is not set.
    pub(super) fn beside(&self, archive: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let (Some(from), Some(environment)) = (&self.params, &self.environment) else { return Ok(archive) };
        let (mut files, file, folder) = if from.is_dir() {
            let mut files = Files::new();
            for (name, bytes) in project::files_of(from)? {
                files.insert(
                    format!("project/Deployment/{}", name.split_once('/').map_or(&*name, |(_, rest)| rest)),
                    bytes,
                );
            }
            (files, from.join(FILE), "project/Deployment/")
        } else {
            (Files::new(), from.clone(), "project/")
        };
        let said = of_environment(&file, environment)?;
        files.insert(format!("{folder}intermediate_params.json"), said.to_string().into_bytes());
        files.insert("project/SourceArchive.zip".to_owned(), archive);
        zip::write(&files).map_err(|why| wrong(from, why, "take files out of it"))
    }
}

fn of_environment(file: &Path, environment: &str) -> Result<Value, Failure> {
    let text = read_file(file)?;
    let text = String::from_utf8(text).map_err(|error| unusable(file, "read", &std::io::Error::other(error)))?;
    let text = with_variables(&text, |name| std::env::var(name).ok()).map_err(|name| {
        wrong(file, format!("it has ${{{name}}}, and there is no such environment variable"), "set it, then try again")
    })?;
    let said: Value = serde_saphyr::from_str(&text)
        .map_err(|fault| wrong(file, why_no_yaml(&fault), "mend the line, then try again"))?;
    let all = said["environments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(found) = all.iter().find(|one| one["name"] == *environment) else {
        let names: Vec<&str> = all.iter().filter_map(|one| one["name"].as_str()).collect();
        let why = format!(
            "it says nothing of {environment}; it names {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        return Err(wrong(file, why, "name one of these by --environment"));
    };
    match &found["configs"] {
        said @ Value::Object(_) => Ok(said.clone()),
        _ => Err(wrong(file, format!("{environment} has no configs"), "write what differs there below configs")),
    }
}

/// Puts values in the place of `${NAME}`; returns a name that has none.
fn with_variables(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut done = String::with_capacity(text.len());
    let mut left = text;
    while let Some((before, rest)) = left.split_once("${") {
        let Some((name, after)) = rest.split_once('}') else { break };
        done.push_str(before);
        done.push_str(&value(name).ok_or_else(|| name.to_owned())?);
        left = after;
    }
    done.push_str(left);
    Ok(done)
}

fn wrong(file: &Path, why: String, next: &str) -> Failure {
    Failure::new(Exit::Failed, format!("the parameters in {} cannot be used", file.display()), why, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: &str =
        "environments:\n- {name: dev, configs: {policies: [\"${PORTCULLIS_NONE}\"]}}\n- {name: live}\n";

    #[test]
    fn parameters_of_one_environment_go_beside_the_project() {
        let place = tempfile::tempdir().unwrap();
        let with = |name: &str, text: &str| {
            let file = place.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            file
        };
        let beside = |params: PathBuf, environment: &str| {
            let parameters = Parameters { params: Some(params), environment: Some(environment.to_owned()) };
            parameters.beside(b"project".to_vec()).map(|archive| zip::read(&archive).unwrap()).map_err(|e| e.summary())
        };
        let good = PARAMS.replace("\"${PORTCULLIS_NONE}\"", "Gold");
        let files = beside(with("one.yaml", &good), "dev").unwrap();
        assert_eq!(files["project/SourceArchive.zip"], b"project");
        assert_eq!(files["project/intermediate_params.json"], br#"{"policies":["Gold"]}"#);
        with("folder/certificates/bob.crt", "B");
        with("folder/params.yaml", &good);
        let files = beside(place.path().join("folder"), "dev").unwrap();
        assert_eq!(files["project/Deployment/certificates/bob.crt"], b"B");
        assert!(files.contains_key("project/Deployment/intermediate_params.json"));
        for (params, environment, why) in [
            (with("two.yaml", PARAMS), "dev", "PORTCULLIS_NONE"),
            (with("three.yaml", &good), "test", "it names dev, live"),
            (with("four.yaml", &good), "live", "no configs"),
            (with("five.yaml", "{ ["), "live", "line 1"),
            (place.path().join("none.yaml"), "live", "none.yaml"),
        ] {
            let refused = beside(params, environment).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn variables_are_put_in_where_they_are_named() {
        let value = |name: &str| (name == "A").then(|| "b".to_owned());
        assert_eq!(with_variables("x${A}y$A${A}${", value).unwrap(), "xby$Ab${");
        assert_eq!(with_variables("${A}${B}", value).unwrap_err(), "B");
    }
}
