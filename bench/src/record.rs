//! A run as it is kept: the machine, the versions, and every round's raw number, as JSON.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::machine::{Load, Machine};
use crate::programs::Version;
use crate::results::{Lack, Results};

/// Changes when a reader of the older form would misread the newer.
const FORM: u32 = 2;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The form of this file.
    pub form: u32,
    /// When it was begun: `2026-11-20T08:40:00Z`.
    pub began: String,
    /// How long it took, in seconds, from the call to the last row: building FastCache included.
    pub seconds: u64,
    /// The suites that ran.
    pub suites: Vec<String>,
    /// Whether it only proved that the harness works. The numbers then mean nothing.
    pub quick: bool,
    /// Where it ran.
    pub machine: Machine,
    /// How busy it was before the first row, after FastCache was built.
    pub load_before: Load,
    /// The same after the last.
    pub load_after: Load,
    /// Who took part.
    pub versions: Vec<Version>,
    /// What was measured.
    pub rows: Results,
}

impl Record {
    /// The form that this program writes and reads.
    #[must_use]
    pub fn current_form() -> u32 {
        FORM
    }

    /// Reads a run.
    ///
    /// # Errors
    /// When the file cannot be read or is not one of these.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let record: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no record of a run", file.display()))?;
        anyhow::ensure!(
            record.form == FORM,
            "{} has form {}, this reads {FORM}",
            file.display(),
            record.form
        );
        Ok(record)
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// What makes the run a failure, one line each: wrong values, rows that are silent, and FastCache failing. In a
    /// quick run whoever fails, and whoever is not there: it is there to prove that everything works.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let silent =
            self.rows.silent_rows().map(|row| format!("{}: neither a number nor a reason", row.place()));
        let lacking = self.rows.rows.iter().filter_map(|row| match row.lack.as_ref()? {
            Lack::Wrong(what) => Some(format!("{}: wrong value: {what}", row.place())),
            Lack::Failed(why) if self.quick || row.subject == crate::FASTCACHE => {
                Some(format!("{}: failed: {why}", row.place()))
            }
            Lack::Absent(why) if self.quick => Some(format!("{}: not there: {why}", row.place())),
            Lack::Failed(_) | Lack::Absent(_) | Lack::Skipped(_) => None,
        });
        silent.chain(lacking).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::results::{Scenario, metric};

    /// A run without rows.
    pub(crate) fn empty() -> Record {
        Record {
            form: FORM,
            began: "2026-11-20T08:40:00Z".to_owned(),
            seconds: 1200,
            suites: vec!["proxies".to_owned()],
            quick: false,
            machine: Machine {
                cpu: "AMD EPYC".to_owned(),
                cores: 2,
                kernel: "6.18".to_owned(),
                memory_mb: 24_000,
            },
            load_before: Load::default(),
            load_after: Load::default(),
            versions: vec![Version { name: "envoy".to_owned(), version: "1.40.0".to_owned() }],
            rows: Results::default(),
        }
    }

    #[test]
    fn a_peer_may_fail_or_be_absent_but_nobody_may_be_wrong_or_silent() {
        let scenario = Scenario { suite: "proxies", group: "g", name: "GET".to_owned() };
        let mut record = empty();
        for subject in ["wrong", "failed", "absent", "silent", crate::FASTCACHE] {
            record.rows.declare(&scenario, subject, &[metric::CPU]);
        }
        record.rows.wrong_value(&scenario, "wrong", "b for a");
        record.rows.fail(&scenario, "failed", "closed");
        record.rows.absent(&scenario, "absent", "not installed");
        record.rows.fail(&scenario, crate::FASTCACHE, "closed");
        let faults = |record: &Record| -> Vec<String> {
            record.faults().iter().filter_map(|fault| fault.split(": ").nth(3).map(str::to_owned)).collect()
        };
        assert_eq!(faults(&record), ["silent", "wrong", crate::FASTCACHE]);
        record.quick = true;
        assert_eq!(faults(&record), ["silent", "wrong", "failed", "absent", crate::FASTCACHE]);
    }

    #[test]
    fn it_survives_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.json");
        let mut record = empty();
        record.write(&file).unwrap();
        assert_eq!(Record::read(&file).unwrap(), record);
        record.form += 1;
        record.write(&file).unwrap();
        assert!(Record::read(&file).unwrap_err().to_string().contains("form 3"));
    }
}
