//! What is wrong with the settings, all of it at once.

use std::fmt;

/// One thing that is wrong: where it was written, and what is wrong about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The flag, the variable, or the file with its line and key.
    place: String,
    /// What is wrong and what was expected.
    problem: String,
    /// Where in the file, if it is in the file.
    line: Option<usize>,
}

/// Every mistake found in the settings. Displayed one per line, each line starting with the program's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    program: &'static str,
    mistakes: Vec<Mistake>,
}

impl Mistake {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), line: None }
    }

    pub(super) fn in_file(path: &str, line: usize, problem: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), problem).at_line(line)
    }

    pub(super) fn at_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// "unknown … `name`", with the name it is closest to when one is close.
    pub(super) fn unknown<'a>(
        place: impl Into<String>,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let problem = match closest(name, known) {
            Some(close) => format!("unknown {what} `{name}`; did you mean `{close}`?"),
            None => format!("unknown {what} `{name}`"),
        };
        Self::new(place, problem)
    }

    pub(super) fn map_problem(self, change: impl FnOnce(&str) -> String) -> Self {
        Self { problem: change(&self.problem), ..self }
    }
}

impl SettingsError {
    pub(super) fn new(program: &'static str, mut mistakes: Vec<Mistake>) -> Self {
        // Stable: those outside the file stay in front and in their order.
        mistakes.sort_by_key(|mistake| mistake.line);
        Self { program, mistakes }
    }

    /// The mistakes: those of the command line and the environment first, then those in the file by line.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{}: {mistake}", self.program)?;
        }
        Ok(())
    }
}

/// The known name that a typing slip would most likely have meant.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this Jaro-Winkler similarity a suggestion is more confusing than none (`prot`/`port` is 0.93).
    const ALIKE: f64 = 0.8;
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
