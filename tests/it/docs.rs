//! The documents' console blocks are run, and what they show is compared with what comes.
//!
//! A document that is tested has a comment `<!-- tested: key=value … -->` with the settings that it asks for. Lines that
//! begin with `$ ` are commands, `> ` continues one, and all others are output. What differs from run to run (tokens,
//! ids, times) is masked on both sides.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex_lite::Regex;
use relatch_testkit::{On, TestApp};

/// A command, and the output that the document shows.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    command: String,
    output: String,
}

fn read(document: &str) -> (Vec<(String, String)>, Vec<Shown>) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    let wanted = text.split("<!-- tested:").nth(1).unwrap().split("-->").next().unwrap();
    let settings = wanted.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut shown: Vec<Shown> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                shown.push(Shown { command: command.to_owned(), output: String::new() });
            } else if let Some(more) = line.strip_prefix("> ") {
                write!(shown.last_mut().unwrap().command, "\n{more}").unwrap();
            } else {
                writeln!(shown.last_mut().unwrap().output, "{line}").unwrap();
            }
        }
    }
    (settings, shown)
}

/// Runs the commands in one shell, in an empty directory. Gives each one's output.
fn run(commands: &[Shown], app: &TestApp) -> Vec<String> {
    const END: &str = "---- end of a command ----";
    let address = app.node.base().strip_prefix("http://").unwrap();
    let lines = commands.iter().flat_map(|shown| [shown.command.clone(), format!("echo '{END}'")]);
    let script = lines.collect::<Vec<_>>().join("\n");
    let directory = tempfile::tempdir().unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_relatch")).parent().unwrap();
    let output = Command::new("bash")
        .args(["-u", "-c", &script.replace("localhost:8080", address)])
        .current_dir(directory.path())
        .env("no_proxy", "*")
        // `relatch` is the command line of this server.
        .env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()))
        .envs(app.environment())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<_> = said.split(&format!("{END}\n")).map(str::to_owned).collect();
    assert_eq!(parts.len(), commands.len() + 1, "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    parts
}

/// The text without what differs from run to run.
fn mask(text: &str) -> String {
    let masks = [
        // At the beginning of a word: the letters can be anywhere in random text.
        (r#"(?m)(^|["=:\s])eyJ[A-Za-z0-9_.…-]*"#, "${1}eyJ…"),
        (r"rlt1_[A-Za-z0-9_…-]+", "rlt1_…"),
        (r"rld1_[A-Za-z0-9_…-]+", "rld1_…"),
        (r"rlp1_[A-Za-z0-9_…-]+", "rlp1_…"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", "(time)"),
        (r#""(exp|iat|auth_time)":\d+"#, "\"$1\":(time)"),
        (r#""(jti|next_cursor)":"[^"]+""#, "\"$1\":(random)"),
        (r"curl/[0-9.]+", "curl"),
        (r"[A-Za-z0-9_-]{36,43}", "(id)"),
        // Columns of tables are as wide as what is in them.
        (r"  +", "  "),
    ];
    masks.into_iter().fold(text.to_owned(), |text, (pattern, with)| {
        Regex::new(pattern).unwrap().replace_all(&text, with).into_owned()
    })
}

async fn holds(document: &str, on: On) {
    let (settings, shown) = read(document);
    assert!(shown.len() > 5, "{document} shows something");
    let on = settings.iter().fold(on, |on, (key, value)| on.set(key, value));
    let app = on.start().await;
    for (shown, said) in shown.iter().zip(run(&shown, &app)) {
        assert_eq!(mask(&said), mask(&shown.output), "{document}: $ {}", shown.command);
    }
}

/// The documents in a folder.
fn documents(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("md".as_ref()))
        .collect()
}

/// The names by which links reach the headings of a document.
fn anchors(text: &str) -> Vec<String> {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
    headings
        .map(|text| text.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let folders = [".", "docs", "docs/decisions", "examples/spa", "bench"];
    let mut seen = 0;
    for document in folders.into_iter().flat_map(documents) {
        let text = std::fs::read_to_string(&document).unwrap();
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.starts_with("http") {
                continue;
            }
            seen += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            assert!(path.exists(), "{}: {target}", document.display());
            let leads = anchor.is_empty()
                || anchors(&std::fs::read_to_string(&path).unwrap()).contains(&anchor.to_owned());
            assert!(leads, "{}: {target}", document.display());
        }
    }
    assert!(seen > 50, "{seen} links");
}

#[tokio::test]
async fn the_readme_shows_what_happens() {
    holds("README.md", On::embedded()).await;
    holds("README.md", On::redis()).await;
}

#[tokio::test]
async fn the_tour_shows_what_happens_on_the_embedded_store() {
    holds("docs/tour.md", On::embedded()).await;
}

#[tokio::test]
async fn the_tour_shows_what_happens_on_redis() {
    holds("docs/tour.md", On::redis()).await;
}

#[tokio::test]
async fn the_guide_to_the_api_shows_what_happens_on_the_embedded_store() {
    holds("docs/api.md", On::embedded()).await;
}

#[tokio::test]
async fn the_guide_to_the_api_shows_what_happens_on_redis() {
    holds("docs/api.md", On::redis()).await;
}

#[tokio::test]
async fn the_operator_s_tour_shows_what_happens() {
    holds("docs/operator-tour.md", On::embedded()).await;
    holds("docs/operator-tour.md", On::redis()).await;
}

/// Each `key` = value of the page is the default, and no budget is missing.
#[test]
fn the_page_of_all_bounds_agrees_with_the_settings() {
    let read =
        |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let page = read("docs/security.md");
    let tables = page.split("## What one caller may ask for").nth(1).unwrap().split("\n## ").next().unwrap();
    let defaults: toml::Table = read("config/default.toml").parse().unwrap();
    let default = |key: &str| {
        let (section, name) = key.split_once('.').unwrap();
        match &defaults[section][name] {
            toml::Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    };
    let pair = Regex::new("`([a-z_]+\\.[a-z_]+)` = ([0-9a-z]+)").unwrap();
    let shown: Vec<_> =
        pair.captures_iter(tables).map(|pair| (pair[1].to_owned(), pair[2].to_owned())).collect();
    for (key, value) in &shown {
        assert_eq!(*value, default(key), "{key}");
    }
    let budgets = defaults["rate_limit"].as_table().unwrap().keys().map(|name| format!("rate_limit.{name}"));
    let bounds = ["http.max_connections_per_address", "password.max_wait", "sessions.max_per_user"];
    for key in budgets.chain(bounds.map(str::to_owned)) {
        let is_shown = shown.iter().any(|(name, _)| *name == key) || key == "rate_limit.enabled";
        assert!(is_shown, "{key} is not in the tables");
    }
}
