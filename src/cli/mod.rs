//! The command line. Commands are given their environment and their outputs, so that a test can run them.

mod audit;
mod config;
mod doctor;
mod door;
mod input;
mod key;
mod log;
mod print;
mod serve;
mod session;
mod store;
mod transfer;
mod user;

use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{self, Loaded, SettingsError};
use crate::startup::StartError;
use crate::telemetry;
use input::Input;

/// Below the list of commands.
const AFTER_HELP: &str = "\
Commands about users, sessions, keys and the audit trail are carried out by the running server, which they reach
through the Unix socket `admin.socket` (beside the data; with Redis only if it is set). If no server answers there,
they work on the store itself. Give them the settings that the server has: the same file or environment, and with
relative paths the same working directory.

First steps:
  relatch user add ada                    asks for a password
  relatch session list ada                where she is signed in
  relatch session revoke SESSION_ID       ends one of these
  relatch audit tail --user ada           what became of her
  relatch user --help                     every command has help, with examples

Exit codes: 0 done, 1 failed, 2 wrong use. Lists with --json have one object on each line.";

/// Access and refresh tokens: issued, rotated and revoked.
#[derive(Debug, Parser)]
#[command(name = "relatch", version, after_help = AFTER_HELP)]
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
    /// Users: add, list, show, disable, delete them, give them a new password.
    User(user::User),
    /// Sessions: who is signed in where, and the end of it.
    Session(session::Session),
    /// Keys: list and rotate those that sign access tokens, make a master key.
    Key(key::Key),
    /// Store: have the running server take it as it is.
    Store(store::Store),
    /// Log: how much the running server tells.
    Log(log::Log),
    /// Doctor: whether the store is fit for what is promised, and what to change.
    Doctor(doctor::Doctor),
    /// Audit: who did what to whom, from where and when.
    Audit(audit::Audit),
    /// Settings: what is in effect, and whether it holds together.
    Config(config::Config),
}

/// Why a command did not do what it should. Most wrong use does not come so far: clap ends the process with code 2.
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
    #[error("{0}")]
    WrongUse(String),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::WrongUse(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Where a command takes its surroundings from and where it writes to.
struct Surroundings<'a> {
    config: Option<PathBuf>,
    variables: Vec<(String, String)>,
    input: Input<'a>,
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
    let mut stdin = BufReader::new(io::stdin());
    let input = Input { reader: &mut stdin, is_terminal: input::is_terminal() };
    let done = settings::of_process()
        .map_err(Failure::from)
        .and_then(|variables| run(cli, variables, input, &mut out, &mut err));
    telemetry::log::flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output may have read enough, as `head` does.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(failure) => {
            // If even this cannot be written, the exit code says it.
            let _ = writeln!(err, "relatch: {failure}");
            failure.exit_code()
        }
    }
}

fn run<'a>(
    cli: Cli,
    variables: Vec<(String, String)>,
    input: Input<'a>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
) -> Result<(), Failure> {
    let surroundings = Surroundings { config: cli.config, variables, input, out, err };
    match cli.command {
        Command::Serve(command) => serve::run(command, surroundings),
        Command::User(command) => user::run(command, surroundings),
        Command::Session(command) => session::run(command, surroundings),
        Command::Key(command) => key::run(&command, surroundings),
        Command::Store(command) => store::run(&command, surroundings),
        Command::Log(command) => log::run(command, surroundings),
        Command::Doctor(command) => doctor::run(&command, surroundings),
        Command::Audit(command) => audit::run(command, surroundings),
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
        let input = Input { reader: &mut io::empty(), is_terminal: false };
        let done = run(cli, variables, input, &mut out, &mut err).map_err(|failure| failure.to_string());
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
