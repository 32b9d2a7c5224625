//! What happened in a case, in words. Told only when a case is run again to be read.

use std::fmt;

/// Numbered sentences, if anybody listens.
#[derive(Debug, Default)]
pub(super) struct Story {
    lines: Option<Vec<String>>,
}

impl Story {
    pub(super) const fn untold() -> Self {
        Self { lines: None }
    }

    pub(super) const fn told() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    /// Adds a sentence, which is only made if somebody listens.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.as_ref().map_or(0, Vec::len)
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines.iter().flatten().enumerate() {
            writeln!(f, "{:>3}. {line}", number + 1)?;
        }
        Ok(())
    }
}
