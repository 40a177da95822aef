//! What a server tells about itself with INFO.

use std::collections::BTreeMap;

/// The fields of an INFO reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Info(BTreeMap<String, String>);

impl Info {
    /// Reads a reply; headings and frames are left out.
    pub(super) fn parse(reply: &str) -> Self {
        let fields = reply.lines().filter_map(|line| line.split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// The field of this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The whole number of this name.
    ///
    /// # Errors
    /// When the server does not tell it.
    pub(super) fn number(&self, name: &str) -> anyhow::Result<u64> {
        let number = self.text(name).and_then(|value| value.parse().ok());
        number.ok_or_else(|| anyhow::anyhow!("INFO tells no number {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_headings_are_left_out() {
        let reply = "$120\r\n# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:0\r\n\
                     mem_fragmentation_ratio:1.08\r\n\r\n# Keyspace\r\ndb0:keys=5,expires=1\r\n\r\n";
        let info = Info::parse(reply);
        assert_eq!(info.number("used_memory").unwrap(), 1_048_576);
        assert_eq!(info.number("maxmemory").unwrap(), 0);
        assert_eq!((info.text("used_memory_human"), info.text("# Memory")), (Some("1.00M"), None));
        for name in ["used_memory_human", "mem_fragmentation_ratio", "db0", "nothing"] {
            let error = info.number(name).unwrap_err().to_string();
            assert_eq!(error, format!("INFO tells no number {name}"));
        }
    }
}
