//! HAProxy in front of the proxies: one that drains, dies or hangs loses its clients without an error for
//! them, and a reload loses nobody.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::eventually::{PATIENCE, eventually};
use crate::http;
use crate::load::Load;
use crate::up::Up;

/// What haproxy.cfg says of each case: how long until a proxy is left out.
const DRAINING_IS_OUT: Duration = Duration::from_millis(400);
const DEAD_IS_OUT: Duration = Duration::from_millis(800);
const FROZEN_IS_OUT: Duration = Duration::from_millis(3_800);
/// For a machine that runs other tests at the same time, and for reading HAProxy's metrics.
const MARGIN: Duration = Duration::from_secs(1);
/// What docker-compose.yml gives a proxy, as text and as time.
const LAME_DUCK: (&str, Duration) = ("2s", Duration::from_secs(2));
/// As many idle clients as leave no doubt that both proxies have some.
const IDLE_CLIENTS: usize = 20;
/// Even, so that each of the two proxies has half of them: they come one after the other, and in turn.
const BUSY_CLIENTS: usize = 8;
/// As many as `fastcache up` starts in these tests.
const PROXIES: usize = 2;

#[test]
fn a_proxy_that_drains_loses_its_clients_without_an_error() {
    let up = Up::start_with("haproxy", |command| {
        command.args(["--lame-duck", LAME_DUCK.0]);
    });
    let mut idle = idle_clients(&up);
    let pool = Pool::start(&up);
    let busy = Load::start(&[&up.entry()], BUSY_CLIENTS);
    busy.until_all_are_served();
    let proxy1 = proxy1(&up);
    let began = Instant::now();
    signal(proxy1, Signal::TERM);
    until_proxy1_is(&up, &["NOLB", "DRAIN"]);
    assert!(began.elapsed() < DRAINING_IS_OUT + MARGIN, "{:?}", began.elapsed());
    for _ in 0..IDLE_CLIENTS {
        assert_ne!(process_id(&mut up.client()), proxy1);
    }
    // Those it has are served until then.
    let served = idle.iter_mut().map(|client| client.ask()).filter(|answer| answer.is_ok()).count();
    assert!(served == IDLE_CLIENTS || began.elapsed() >= LAME_DUCK.1, "{served}");
    eventually("proxy1 has ended", || {
        if fs::exists(format!("/proc/{proxy1}")).unwrap_or(true) { Err("it runs".to_owned()) } else { Ok(()) }
    });
    until_closed_by(proxy1, idle);
    busy.until_answered(1_000);
    // Whoever looks before it sends has lost nothing.
    let (closed, lost) = pool.stop();
    assert!(lost.is_empty() && (1..=BUSY_CLIENTS / PROXIES).contains(&closed), "{closed} closed, {lost:?}");
    clients_of_one_proxy_reconnect_once(busy, BUSY_CLIENTS / PROXIES);
}

#[test]
fn clients_of_a_proxy_that_dies_or_hangs_are_let_go() {
    let up = Up::start("haproxy");
    for (how, is_out) in [(Signal::STOP, FROZEN_IS_OUT), (Signal::KILL, DEAD_IS_OUT)] {
        let idle = idle_clients(&up);
        let busy = Load::start(&[&up.entry()], BUSY_CLIENTS);
        busy.until_all_are_served();
        let proxy1 = proxy1(&up);
        // One that is back gets more of them than its turn.
        let its_busy = clients_of_proxy1(&up) - idle.iter().filter(|client| client.proxy == proxy1).count();
        let began = Instant::now();
        signal(proxy1, how);
        until_proxy1_is(&up, &["DOWN"]);
        assert!(began.elapsed() < is_out + MARGIN, "{how:?}: {:?}", began.elapsed());
        until_closed_by(proxy1, idle);
        for _ in 0..IDLE_CLIENTS {
            assert_ne!(process_id(&mut up.client()), proxy1);
        }
        busy.until_answered(1_000);
        clients_of_one_proxy_reconnect_once(busy, its_busy);
        if how == Signal::STOP {
            signal(proxy1, Signal::CONT);
            until_proxy1_is(&up, &["UP"]);
        }
    }
}

#[test]
fn a_reload_loses_nobody() {
    let up = Up::start("haproxy");
    let mut idle = idle_clients(&up);
    let master = haproxy_master(&up);
    let before = children(master);
    let load = Load::start(&[&up.entry()], BUSY_CLIENTS);
    load.until_answered(1_000);
    signal(master, Signal::USR2);
    eventually("a new worker has taken over", || {
        let now = children(master);
        if now.difference(&before).next().is_some() { Ok(()) } else { Err(format!("still {now:?}")) }
    });
    load.until_answered(1_000);
    for client in &mut idle {
        client.ask().expect("an idle client notices nothing");
    }
    assert_eq!(up.client().ask("PING"), "+PONG\r\n");
    load.stop().assert_unharmed();
    assert!(before.is_subset(&children(master)), "the old worker serves its clients");
    drop(idle);
    eventually("the old worker has ended with its last client", || {
        let left: BTreeSet<i32> = before.intersection(&children(master)).copied().collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn a_password_protects_the_statistics_page() {
    let up = Up::start_with("haproxy", |command| {
        command.env("STATS_PASSWORD", "open sesame, \"$friend\"").args(["--balance", "leastconn"]);
    });
    let stats = format!("127.0.0.1:{}", up.ports.stats);
    let status = |path| http::get(&stats, path).expect("HAProxy answers").0;
    assert_eq!(
        (status("/stats"), status("/stats;csv"), status("/metrics"), status("/livez")),
        (401, 401, 200, 200)
    );
    // admin and the password, in base64.
    let login = "Authorization: Basic YWRtaW46b3BlbiBzZXNhbWUsICIkZnJpZW5kIg==";
    let request = format!("GET /stats HTTP/1.0\r\n{login}\r\n\r\n");
    let answer = http::exchange(&stats, request.as_bytes()).expect("HAProxy answers");
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A connection of a pool: used now and then, and looked at before.
struct Idle {
    socket: TcpStream,
    client: Client,
    /// The process id of the proxy that serves it.
    proxy: i32,
}

impl Idle {
    fn connect(address: &str) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client::over(socket.try_clone()?);
        let proxy = process_id(&mut client);
        Ok(Self { socket, client, proxy })
    }

    fn ask(&mut self) -> io::Result<Vec<u8>> {
        self.client.try_ask(&[b"SET", b"idle", b"1"])
    }

    /// Whether the other side has closed it; an error when it was torn down.
    fn is_closed(&mut self) -> io::Result<bool> {
        self.socket.set_nonblocking(true)?;
        let seen = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false)?;
        match seen {
            Ok(0) => Ok(true),
            Ok(_) => Err(io::Error::other("something that nobody asked for")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Clients that do as a pool does: each looks whether its connection was closed before it sends a request.
struct Pool {
    stopping: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Pool {
    /// Between a reply and the next request of a client: far longer than a close takes that comes right behind
    /// the reply, and shorter than what makes it an idle client for a proxy that drains (100 ms).
    const PAUSE: Duration = Duration::from_millis(50);

    fn start(up: &Up) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let clients = (0..BUSY_CLIENTS).map(|_| {
            let client = Idle::connect(&up.entry()).expect("the entry listens");
            let (entry, stopping) = (up.entry(), Arc::clone(&stopping));
            thread::spawn(move || Self::use_until(&stopping, &entry, client))
        });
        Self { clients: clients.collect(), stopping }
    }

    /// How often the connection was found closed, and what went wrong with requests that had been sent.
    fn use_until(stopping: &AtomicBool, entry: &str, mut client: Idle) -> (usize, Vec<String>) {
        let (mut closed, mut lost) = (0, Vec::new());
        while !stopping.load(Ordering::Relaxed) {
            thread::park_timeout(Self::PAUSE);
            let asked = client.is_closed().and_then(|is_closed| {
                if is_closed {
                    closed += 1;
                    client = Idle::connect(entry)?;
                }
                client.ask()
            });
            if let Err(error) = asked {
                lost.push(error.to_string());
                // It cannot be used any more; one report is enough.
                break;
            }
        }
        (closed, lost)
    }

    /// The same, of all clients together.
    fn stop(self) -> (usize, Vec<String>) {
        self.stopping.store(true, Ordering::Relaxed);
        self.clients.into_iter().fold((0, Vec::new()), |(closed, mut lost), client| {
            let (more, others) = client.join().expect("a client of the pool does not panic");
            lost.extend(others);
            (closed + more, lost)
        })
    }
}

/// Those of the load send without looking, so each client of a proxy that is gone finds that out by one request.
/// Nobody else notices anything.
fn clients_of_one_proxy_reconnect_once(busy: Load, its_own: usize) {
    let report = busy.stop();
    assert!(report.errors.is_empty() && report.stale.is_empty(), "{report:#?}");
    assert!(report.broken.len() <= its_own, "{its_own} were its own: {report:#?}");
}

/// Clients that have been served once.
fn idle_clients(up: &Up) -> Vec<Idle> {
    (0..IDLE_CLIENTS).map(|_| Idle::connect(&up.entry()).expect("the entry listens")).collect()
}

/// Waits until all clients of this proxy see a close, and not a reset; the others notice nothing.
fn until_closed_by(proxy: i32, clients: Vec<Idle>) {
    let (mut its_own, others): (Vec<Idle>, Vec<Idle>) =
        clients.into_iter().partition(|client| client.proxy == proxy);
    assert!(!its_own.is_empty() && !others.is_empty(), "{} and {}", its_own.len(), others.len());
    eventually("the clients of a proxy that is gone see a close", || {
        let closed = its_own.iter_mut().map(Idle::is_closed).collect::<io::Result<Vec<bool>>>();
        let closed = closed.expect("a close, and not a reset");
        if closed.iter().all(|is_closed| *is_closed) { Ok(()) } else { Err(format!("{closed:?}")) }
    });
    for mut client in others {
        assert!(!client.is_closed().expect("nothing happens to it"));
        client.ask().expect("a client of another proxy notices nothing");
    }
}

/// The process id of the first proxy, asked past HAProxy.
fn proxy1(up: &Up) -> i32 {
    process_id(&mut Client::connect(&format!("127.0.0.1:{}", up.ports.first_proxy)).expect("proxy1 listens"))
}

/// How many clients the first proxy has, without the one that asks.
fn clients_of_proxy1(up: &Up) -> usize {
    let address = format!("127.0.0.1:{}", up.ports.first_proxy);
    let info = Client::connect(&address).expect("proxy1 listens").ask("INFO clients");
    let count = info.lines().find_map(|line| line.strip_prefix("connected_clients:")?.parse().ok());
    count.map_or_else(|| panic!("no connected_clients in {info}"), |count: usize| count - 1)
}

fn process_id(client: &mut Client) -> i32 {
    let info = client.ask("INFO server");
    info.lines().find_map(|line| line.strip_prefix("process_id:")?.parse().ok()).expect("a process id")
}

fn signal(process: i32, signal: Signal) {
    kill_process(Pid::from_raw(process).expect("a process id"), signal).expect("the process runs");
}

fn until_proxy1_is(up: &Up, states: &[&str]) {
    let line = |state: &&str| {
        format!("haproxy_server_status{{proxy=\"proxies\",server=\"proxy1\",state=\"{state}\"}} 1")
    };
    eventually(&format!("proxy1 is {states:?}"), || {
        let (_, metrics) = http::get(&format!("127.0.0.1:{}", up.ports.stats), "/metrics")?;
        if states.iter().map(line).any(|line| metrics.contains(&line)) {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
}

/// The process that reloads: `up` has one child of that name.
fn haproxy_master(up: &Up) -> i32 {
    let parent = i32::try_from(up.process.id()).expect("a process id");
    let is_haproxy =
        |id: &i32| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "haproxy");
    children(parent).into_iter().find(is_haproxy).expect("HAProxy is a child of `up`")
}

/// The processes that this one has started and that have not ended.
fn children(parent: i32) -> BTreeSet<i32> {
    let entries = fs::read_dir("/proc").expect("this is Linux").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

fn parent_of(process: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name, in parentheses, which may hold anything: the state, and then the parent.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    fields.next()?.parse().ok().filter(|_| state != "Z")
}
