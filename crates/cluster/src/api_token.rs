//! The token for what changes things in the health service: draining, probing, reporting.
//!
//! One secret that the health service, the proxies and the operator share, sent as
//! `Authorization: Bearer TOKEN`. It keeps others on the same network from steering the cluster; who can read
//! that network's traffic can read the token too, because inside the cluster there is no TLS. It is shown
//! nowhere: neither `Debug` nor an error tells it.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

/// Longest token in bytes: far more than a good one needs, far less than a request's head may have.
const MAX_LEN: usize = 1_024;

/// A token that fits a request's header.
/// Not comparable with `==`, which would stop at the first difference.
#[derive(Clone)]
pub struct ApiToken(Arc<str>);

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API token must be 1 to {MAX_LEN} visible ASCII characters without spaces")]
pub struct ApiTokenError;

impl ApiToken {
    /// Takes a token over.
    ///
    /// # Errors
    /// [`ApiTokenError`] when it is empty, too long, or could not stand in a header as it is.
    pub fn new(text: &str) -> Result<Self, ApiTokenError> {
        let fits = (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(ApiTokenError) }
    }

    /// Whether the value of an `Authorization` header carries this token. How long that takes does not
    /// depend on how much of a wrong token is right; only the token's length can be told from it.
    #[must_use]
    pub fn is_carried_by(&self, authorization: &[u8]) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let Some((scheme, token)) = authorization.split_at_checked(SCHEME.len()) else { return false };
        scheme.eq_ignore_ascii_case(SCHEME) && token.trim_ascii().ct_eq(self.0.as_bytes()).into()
    }

    /// The token itself, to send it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_header_with_the_whole_token_carries_it() {
        let token = ApiToken::new("s3cret").unwrap();
        for good in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "] {
            assert!(token.is_carried_by(good.as_bytes()), "{good:?}");
        }
        let wrong = [
            "",
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3cret2",
            "Bearer S3CRET",
            "Basic s3cret",
            "s3cret",
        ];
        for bad in wrong {
            assert!(!token.is_carried_by(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn what_fits_no_header_is_no_token() {
        for bad in ["", "a b", "a\n", "ä", &"a".repeat(MAX_LEN + 1)] {
            assert!(ApiToken::new(bad).is_err(), "{bad:?}");
        }
        assert!(ApiToken::new(&"a".repeat(MAX_LEN)).is_ok());
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", ApiToken::new("s3cret").unwrap()), "***");
    }
}
