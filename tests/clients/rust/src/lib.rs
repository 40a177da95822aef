//! Runs the steps of one client and prints a line for each: its name, a tab, and `ok` or why not.
//!
//! The steps are the same for every client and language; `reconnect` comes last, when the test has restarted the
//! proxies and says so by a line on standard input. A step that fails does not stop the others.

use std::error::Error;
use std::io::stdin;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

/// Far longer than any step takes, even when all clients run at once on two processors.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Between two attempts after the restart: a client that is told of a lost connection tries again soon.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// What a step gives: an assertion that fails is a panic.
pub type Done = Result<(), Box<dyn Error>>;

/// The program, the library and the port come first on the command line, then the steps to take.
pub struct Steps {
    pub port: u16,
    wanted: Vec<String>,
}

impl Steps {
    pub fn from_command_line() -> Result<Self, Box<dyn Error>> {
        let mut args = std::env::args().skip(2);
        let port = args.next().ok_or("which port?")?.parse()?;
        Ok(Self { port, wanted: args.collect() })
    }

    pub fn step(&self, name: &str, mut work: impl FnMut() -> Done) {
        if !self.wanted.iter().any(|wanted| wanted == name) {
            return;
        }
        if name == "reconnect" {
            println!("ready for the restart");
            // The end of the input ends the waiting as well.
            let _ = stdin().read_line(&mut String::new());
        }
        let began = Instant::now();
        let result = loop {
            match catch_unwind(AssertUnwindSafe(&mut work)) {
                Ok(Ok(())) => break "ok".to_owned(),
                // Only after the restart may a request fail: the application tries again.
                Ok(Err(error)) if name == "reconnect" && began.elapsed() < LIMIT => {
                    eprintln!("{error}");
                    // Nobody unparks this thread; it may wake early, and then tries early.
                    park_timeout(BETWEEN_ATTEMPTS);
                }
                Ok(Err(error)) => break error.to_string(),
                Err(panic) => break panic.downcast_ref::<String>().cloned().unwrap_or("a panic".to_owned()),
            }
        };
        println!("{name}\t{}", result.replace('\n', " "));
    }
}

/// Every byte value, again and again.
pub fn megabyte() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(1 << 20).collect()
}
