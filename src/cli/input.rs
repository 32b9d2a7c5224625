//! What is typed or piped into a command: passwords, tokens, and the confirmation of what cannot be undone.

use std::io::{self, BufRead, IsTerminal as _, Read as _, Write};

use zeroize::Zeroizing;

use super::Failure;
use crate::operator::Secret;

/// Longest text that is read, in bytes; the rules say what is too long.
const MAX_TEXT: u64 = 64 * 1024;

/// Standard input.
pub(super) struct Input<'a> {
    /// Where it is read.
    pub(super) reader: &'a mut dyn BufRead,
    /// Whether somebody sits there.
    pub(super) is_terminal: bool,
}

/// Whether somebody sits at standard input.
pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

impl Input<'_> {
    /// A new password: asked for twice on a terminal, otherwise all of standard input without the closing newline.
    pub(super) fn password(&mut self, username: &str) -> Result<Secret, Failure> {
        let unreadable = |error| cannot_read("the password", &error);
        if !self.is_terminal {
            return self.piped().map_err(unreadable);
        }
        let prompt = format!("Password for {}: ", super::print::shown(username));
        let first = Zeroizing::new(rpassword::prompt_password(prompt).map_err(unreadable)?);
        let second = Zeroizing::new(rpassword::prompt_password("Once more: ").map_err(unreadable)?);
        if first == second {
            Ok(Secret::new(first.as_str()))
        } else {
            Err(Failure::NotDone("the passwords differ".to_owned()))
        }
    }

    /// A token. Never an argument: arguments are seen by everyone on the machine.
    pub(super) fn token(&mut self) -> Result<Secret, Failure> {
        let unreadable = |error| cannot_read("the token", &error);
        if self.is_terminal {
            let typed = Zeroizing::new(rpassword::prompt_password("Token: ").map_err(unreadable)?);
            return Ok(Secret::new(typed.trim()));
        }
        Ok(self.piped().map_err(unreadable)?.trimmed())
    }

    fn piped(&mut self) -> io::Result<Secret> {
        let mut text = Zeroizing::new(String::new());
        self.reader.take(MAX_TEXT).read_to_string(&mut text)?;
        let typed = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Secret::new(typed.strip_suffix('\r').unwrap_or(typed)))
    }

    /// Whether somebody is there to confirm something. If not, `--yes` should have been said.
    pub(super) fn somebody_there(&self) -> Result<(), Failure> {
        let why = "this cannot be undone, and nobody is there to confirm it (standard input is no terminal): say --yes";
        if self.is_terminal { Ok(()) } else { Err(Failure::WrongUse(why.to_owned())) }
    }

    /// Has somebody type `word` before something is done that cannot be undone.
    pub(super) fn confirm(&mut self, question: &str, word: &str, err: &mut dyn Write) -> Result<(), Failure> {
        self.somebody_there()?;
        write!(err, "{question}\nType {word} to go on: ")?;
        err.flush()?;
        let mut typed = String::new();
        let read = self.reader.take(MAX_TEXT).read_line(&mut typed);
        read.map_err(|error| cannot_read("the confirmation", &error))?;
        if typed.trim() == word {
            Ok(())
        } else {
            Err(Failure::NotDone("not confirmed; nothing was done".to_owned()))
        }
    }
}

fn cannot_read(what: &str, error: &io::Error) -> Failure {
    Failure::NotDone(format!("{what} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirm(typed: &str, is_terminal: bool) -> (Result<(), String>, String) {
        let (mut reader, mut err) = (typed.as_bytes(), Vec::new());
        let mut input = Input { reader: &mut reader, is_terminal };
        let done = input.confirm("All of it goes.", "ada", &mut err).map_err(|failure| failure.to_string());
        (done, String::from_utf8(err).unwrap())
    }

    #[test]
    fn only_the_word_itself_confirms() {
        let asked = "All of it goes.\nType ada to go on: ".to_owned();
        assert_eq!(confirm("ada\n", true), (Ok(()), asked.clone()));
        for typed in ["\n", "", "y\n", "yes\n", "ad\n"] {
            let refused = Err("not confirmed; nothing was done".to_owned());
            assert_eq!(confirm(typed, true), (refused, asked.clone()), "{typed:?}");
        }
    }

    #[test]
    fn where_nobody_sits_nothing_is_asked() {
        let (done, asked) = confirm("ada\n", false);
        assert!(done.unwrap_err().contains("say --yes"));
        assert_eq!(asked, "");
    }

    #[test]
    fn what_is_piped_loses_its_line_end_only() {
        let read = |typed: &str| {
            let mut reader = typed.as_bytes();
            let mut input = Input { reader: &mut reader, is_terminal: false };
            serde_json::to_value(input.password("ada").unwrap()).unwrap()
        };
        assert_eq!(read(" two words \r\n"), " two words ");
        assert_eq!(read("as it is"), "as it is");
        let mut token = "  rlt1_x \n".as_bytes();
        let token = Input { reader: &mut token, is_terminal: false }.token().unwrap();
        assert_eq!(serde_json::to_value(token).unwrap(), "rlt1_x");
    }
}
