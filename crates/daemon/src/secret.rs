//! A password while the process runs: shown nowhere, and compared without telling how much of a guess was right.

use std::fmt;

use subtle::ConstantTimeEq;

/// A password; empty is none. Not comparable with `==`, which would stop at the first difference.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `given` is this one. How long that takes tells nothing of the secret but its length.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }

    /// The secret itself, to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "***" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_right_and_none_is_shown() {
        let secret = Secret::from("s3cret");
        assert!(secret.is(b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3cret2", b"S3CRET", b"\xff"] {
            assert!(!secret.is(wrong), "{wrong:?}");
        }
        assert_eq!(
            (format!("{secret:?}"), format!("{:?}", Secret::default())),
            ("***".into(), "none".into())
        );
    }
}
