//! What a program prints, if it ends in time.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Thirty times what the longest takes, which is redis-benchmark's own suite.
const LONGEST: Duration = Duration::from_secs(300);
/// Short against what any program takes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Runs the command to its end with this to read. One that takes too long is killed, and the test fails.
pub(crate) fn output(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("its input is piped");
    let input = input.to_vec();
    // In threads of their own: it may print before it has read everything, and it may end before.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = read_all(child.stdout.take().expect("its output is piped"));
    let stderr = read_all(child.stderr.take().expect("its errors are piped"));
    let ended = wait(&mut child);
    // After its end both are at theirs.
    let _ = child.kill();
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().expect("reading does not panic"));
    writer.join().expect("writing does not panic");
    let printed = || String::from_utf8_lossy(&[&stdout[..], &stderr].concat()).into_owned();
    let status = ended.unwrap_or_else(|error| panic!("{command:?}: {error}:\n{}", printed()));
    Output { status, stdout, stderr }
}

fn wait(child: &mut Child) -> io::Result<std::process::ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < LONGEST {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::park_timeout(BETWEEN_LOOKS);
    }
    Err(io::Error::other(format!("it has not ended after {LONGEST:?}")))
}

fn read_all(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}
