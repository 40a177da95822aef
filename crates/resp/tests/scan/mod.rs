//! The two scanners as one, for what a test or the fuzzer does with both.

use resp::{ProtocolError, ReplyScanner, RequestScanner};

/// What both scanners can do.
pub(crate) trait Scan {
    fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError>;
    fn done_with(&self, arrived: usize) -> usize;
    fn skip(&mut self, len: usize);
}

macro_rules! scan {
    ($scanner:ty) => {
        impl Scan for $scanner {
            fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
                self.scan(buf)
            }

            fn done_with(&self, arrived: usize) -> usize {
                self.done_with(arrived)
            }

            fn skip(&mut self, len: usize) {
                self.skip(len);
            }
        }
    };
}

scan!(RequestScanner);
scan!(ReplyScanner);
