//! The command line. Commands are given their environment and their outputs, so that a test can run them.

mod config;
mod key;
mod serve;
mod user;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{self, Loaded, SettingsError};
use crate::startup::StartError;

/// Access and refresh tokens: issued, rotated and revoked.
#[derive(Debug, Parser)]
#[command(name = "relatch", version)]
pub struct Cli {
    /// TOML file with settings; what it does not set stays as built in.
    #[arg(long, env = "RELATCH_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until told to stop.
    Serve(serve::Serve),
    /// Users: add them, list them, give them a new password.
    User(user::User),
    /// Keys: make a master key.
    Key(key::Key),
    /// Settings: what is in effect, and whether it holds together.
    Config(config::Config),
}

/// Why a command did not do what it should. Wrong use does not come so far: clap ends the process with code 2.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}")]
    NotDone(String),
}

/// Where a command takes its surroundings from and where it writes to.
struct Surroundings<'a> {
    config: Option<PathBuf>,
    variables: Vec<(String, String)>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl Surroundings<'_> {
    /// Loads the settings; what is unwise in them is for the caller to tell.
    fn load_silently(&mut self) -> Result<Loaded, Failure> {
        Ok(settings::load(self.config.as_deref(), std::mem::take(&mut self.variables))?)
    }

    /// Loads the settings, and tells of what is unwise in them.
    fn load(&mut self) -> Result<Loaded, Failure> {
        let loaded = self.load_silently()?;
        for warning in &loaded.warnings {
            writeln!(self.err, "warning: {warning}")?;
        }
        Ok(loaded)
    }
}

/// Runs the command that the process was started with. Exit codes: 0 done, 1 failed, 2 wrong use.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Not locked: the threads of a server write there too.
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let done = settings::of_process()
        .map_err(Failure::from)
        .and_then(|variables| run(cli, variables, &mut out, &mut err));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output may have read enough, as `head` does.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(failure) => {
            // If even this cannot be written, the exit code says it.
            let _ = writeln!(err, "relatch: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    cli: Cli,
    variables: Vec<(String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), Failure> {
    let mut surroundings = Surroundings { config: cli.config, variables, out, err };
    match cli.command {
        Command::Serve(command) => serve::run(command, surroundings),
        Command::User(command) => user::run(command, surroundings),
        Command::Key(command) => key::run(&command, &mut surroundings),
        Command::Config(command) => config::run(&command, surroundings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exit, standard output and standard error of a command line in an environment.
    fn relatch(arguments: &[&str], variables: &[(&str, &str)]) -> (Result<(), String>, String, String) {
        let cli = Cli::try_parse_from(std::iter::once(&"relatch").chain(arguments)).unwrap();
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let done = run(cli, variables, &mut out, &mut err).map_err(|failure| failure.to_string());
        (done, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn check_says_ok_and_warns_beside_it() {
        assert_eq!(relatch(&["config", "check"], &[]), (Ok(()), "ok\n".to_owned(), String::new()));
        let (done, out, err) = relatch(&["config", "check"], &[("RELATCH__PASSWORD__BCRYPT_COST", "4")]);
        assert_eq!((done, out.as_str()), (Ok(()), "ok\n"));
        assert!(err.starts_with(
            "warning: password.bcrypt_cost (environment variable RELATCH__PASSWORD__BCRYPT_COST): "
        ));
    }

    #[test]
    fn check_fails_with_the_one_message() {
        let (done, out, err) = relatch(&["config", "check"], &[("RELATCH__ISSUR", "https://a.example")]);
        let message =
            "environment variable RELATCH__ISSUR: there is no such key; did you mean RELATCH__ISSUER?";
        assert_eq!((done, out.as_str(), err.as_str()), (Err(message.to_owned()), "", ""));
    }

    #[test]
    fn show_writes_toml_or_json() {
        let variables = [("RELATCH__LOG__LEVEL", "debug")];
        let (_, text, _) = relatch(&["config", "show"], &variables);
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(parsed["log"]["level"].as_str(), Some("debug"));
        let (_, json, _) = relatch(&["config", "show", "--json"], &variables);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["log.level"]["value"], "debug");
        assert_eq!(parsed["log.level"]["origin"], "environment variable RELATCH__LOG__LEVEL");
    }

    #[test]
    fn the_file_can_be_named_after_the_command() {
        let (done, _, _) = relatch(&["config", "check", "--config", "no/such.toml"], &[]);
        assert!(done.unwrap_err().starts_with("no/such.toml: cannot be read ("));
    }

    #[test]
    fn wrong_use_is_exit_code_2() {
        for arguments in [&["relatch", "confg"][..], &["relatch", "config", "show", "--jsno"], &["relatch"]] {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
        }
        assert_eq!(Cli::try_parse_from(["relatch", "--help"]).unwrap_err().exit_code(), 0);
    }
}
