//! Two ways to run the server: on a thread of the test, or as a process of the real binary.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use relatch::ambient::Clock;
use relatch::startup::{Server, Stop, Surroundings};

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Launched {
    address: SocketAddr,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Thread { stop: Stop, ops: SocketAddr, thread: Option<JoinHandle<()>> },
    Process { child: Child, log: PathBuf },
}

impl Launched {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a server on a thread tells operators how it is.
    pub(crate) fn ops_address(&self) -> SocketAddr {
        match &self.running {
            Running::Thread { ops, .. } => *ops,
            Running::Process { .. } => panic!("of a process of its own nobody knows where that is"),
        }
    }

    /// The name that a process gives its connections to Redis.
    pub(crate) fn name(&self) -> String {
        match &self.running {
            Running::Process { child, .. } => format!("relatch-{}", child.id()),
            Running::Thread { .. } => panic!("only a process of its own has a name of its own"),
        }
    }

    /// Asks a process to stop.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops a process in its tracks.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills a process: no goodbye, nothing finished.
    pub(crate) fn kill(&mut self) {
        match &mut self.running {
            Running::Process { child, .. } => {
                child.kill().expect("the node is there to be killed");
                child.wait().expect("its end");
            }
            Running::Thread { .. } => panic!("only a process of its own can be killed"),
        }
    }

    fn signal(&self, signal: Signal) {
        match &self.running {
            Running::Process { child, .. } => {
                kill_process(Pid::from_child(child), signal).expect("the node is there to be signalled");
            }
            Running::Thread { .. } => panic!("only a process of its own can be signalled"),
        }
    }

    /// What it has logged; nothing for a server on a thread.
    pub(crate) fn log(&self) -> String {
        match &self.running {
            Running::Thread { .. } => String::new(),
            Running::Process { log, .. } => std::fs::read_to_string(log).expect("the log"),
        }
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Thread { stop, thread, .. } => {
                stop.now();
                if let Some(thread) = thread.take() {
                    let _ = thread.join();
                }
            }
            Running::Process { child, .. } => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Runs the server on a thread of its own. Fails with the message that its operator would read.
pub(crate) async fn in_this_process(
    settings: BTreeMap<String, String>,
    clock: Option<Arc<dyn Clock>>,
    own_clock: Option<Arc<dyn Clock>>,
) -> Result<Launched, String> {
    let environment: Vec<_> = settings.iter().map(|(key, value)| (variable(key), value.clone())).collect();
    let settings = relatch::settings::load(None, environment).map_err(|error| error.to_string())?.settings;
    let surroundings = Surroundings { clock, own_clock, ..Surroundings::default() };
    let (started, starting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        relatch::startup::block_on(async move {
            match Server::build(&settings, surroundings).await {
                Ok(server) => {
                    let _ = started.send(Ok((server.address(), server.ops_address(), server.stop())));
                    let _ = server.run().await;
                }
                Err(error) => {
                    let _ = started.send(Err(error.to_string()));
                }
            }
        });
    });
    let (address, ops, stop) = tokio::task::spawn_blocking(move || starting.recv())
        .await
        .expect("a task")
        .expect("the thread lives")?;
    Ok(Launched { address, running: Running::Thread { stop, ops, thread: Some(thread) } })
}

/// Runs the real binary, its log in a file.
pub(crate) async fn own_process(settings: &BTreeMap<String, String>, dir: &Path) -> Result<Launched, String> {
    let (ready, log) = (dir.join("ready"), dir.join("log"));
    // One that ran here before has left its own.
    let _ = std::fs::remove_file(&ready);
    let output = File::create(&log).expect("a log file");
    let mut child = Command::new(binary())
        .args(["serve", "--ready-file"])
        .arg(&ready)
        .env_clear()
        // A test reads the log when it has its answer.
        .env(variable("log.linger"), "0s")
        .envs(settings.iter().map(|(key, value)| (variable(key), value)))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a log file"))
        .stderr(output)
        .spawn()
        .expect("the binary starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(address) =
            std::fs::read_to_string(&ready).ok().and_then(|text| text.lines().next()?.parse().ok())
        {
            return Ok(Launched { address, running: Running::Process { child, log } });
        }
        if child.try_wait().expect("the child's state").is_some() || Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(std::fs::read_to_string(&log).expect("the log"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The environment variable of a setting.
pub(crate) fn variable(key: &str) -> String {
    format!("RELATCH__{}", key.replace('.', "__").to_uppercase())
}

/// The `relatch` binary of the same profile: beside this program, or above it if this is a test.
fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("the program's own path");
    let mut beside = own.ancestors().skip(1).take(2).map(|directory| directory.join("relatch"));
    beside
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("relatch is not built beside {}", own.display()))
}
