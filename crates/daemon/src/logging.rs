//! Logs: lines of text or JSON on stderr, filtered by level and target.
//!
//! The filter is `tracing-subscriber`'s `Targets` (`info,cache_proxy=debug`), which needs no regular
//! expressions and hence no memory for them: an idle node has six megabytes to live in.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use crate::Settings;

/// Starts logging as `log-level` and `log-format` say. Call it once per process.
///
/// # Errors
/// When logging was started before.
pub fn init(settings: &Settings) -> Result<(), TryInitError> {
    // Checked when the settings were read, see `is_filter`.
    let targets: Targets = settings.text("log-level").parse().unwrap_or_default();
    let lines = fmt::layer().with_writer(std::io::stderr);
    let layer = if settings.text("log-format") == "json" {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(targets)).try_init()
}

/// Whether a filter lets lines through that tell of what goes as it should.
#[must_use]
pub fn lets_info_through(filter: &str) -> bool {
    let targets: Targets = filter.parse().unwrap_or_default();
    let levels = targets.iter().map(|(_, level)| level).chain(targets.default_level());
    levels.max().is_some_and(|level| level >= LevelFilter::INFO)
}

/// Whether a text is a filter. A bare word that is no level would be taken for a target and log
/// everything of it: more likely a misspelt level, so it is refused.
pub(crate) fn is_filter(text: &str) -> bool {
    let level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let directive = |part: &str| match part.split_once('=') {
        Some((target, word)) => !target.is_empty() && level(word),
        None => level(part),
    };
    !text.is_empty() && text.split(',').all(directive) && text.parse::<Targets>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_which_filters_tell_what_goes_as_it_should() {
        for talkative in ["info", "TRACE", "warn,cache_proxy=debug", "off,a=error,b=info"] {
            assert!(lets_info_through(talkative), "{talkative}");
        }
        for quiet in ["warn", "off", "error,cache_proxy=warn"] {
            assert!(!lets_info_through(quiet), "{quiet}");
        }
    }

    #[test]
    fn filters_are_levels_and_targets_with_levels() {
        for good in ["info", "WARN", "off", "info,cache_proxy=debug", "cache_proxy::session=trace,error"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "loud", "info,", "cache_proxy=loud", "=debug", "infoo"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
