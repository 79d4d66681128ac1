//! A service that runs, and what was measured of it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use compare::record::put;
use compare::services::{
    ACCEPTED, CPU, DATABASE_CPU, MEMORY_PEAK, Mix, ONLY_READS, P50, P99, Program, RATE, Service, record_name,
};

use crate::client::{Block, Connection};
use crate::database::{Database, Databases};
use crate::deliveries::make;
use crate::usage;

/// Where the packages of the other languages are, if they are installed.
#[derive(Default)]
pub struct Packages {
    pub node: Option<PathBuf>,
    pub python: Option<PathBuf>,
}

/// A block of deliveries: how long it is, and whether it counts.
#[derive(Clone, Copy)]
pub struct Turn {
    pub time: Duration,
    pub is_measured: bool,
}

/// How many deliveries are made while it is not known how many a service takes.
const FIRST: usize = 4_000;

pub struct Candidate {
    pub service: &'static Service,
    process: Process,
    address: SocketAddr,
    database: Database,
    /// The jobs that it has accepted.
    known: u64,
    cells: BTreeMap<(Mix, usize), Cell>,
}

/// What was measured with this mix and so many in flight.
#[derive(Default)]
struct Cell {
    /// Deliveries a second in the newest block.
    newest_rate: Option<f64>,
    /// Of each block.
    rates: Vec<f64>,
    accepted: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Of all blocks: the system counts time in steps of 10 ms.
    count: usize,
    cpu: Duration,
    database_cpu: Option<Duration>,
    peak: f64,
}

impl Candidate {
    /// Starts a service and waits until it answers; none if a package or a server is not installed.
    pub async fn start(
        service: &'static Service,
        number: usize,
        databases: &Databases,
        packages: &Packages,
    ) -> io::Result<Option<Self>> {
        let Some(mut command) = command(service.program, packages) else { return Ok(None) };
        let Some(database) = databases.make(service, number).await else { return Ok(None) };
        let mut process = Process(command.arg(&database.address).stdout(Stdio::piped()).spawn()?);
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line)?;
        let address =
            line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| io::Error::other(format!("{line:?} instead of its address")))?;
        Connection::open(address).await?;
        Ok(Some(Self { service, process, address, database, known: 0, cells: BTreeMap::new() }))
    }

    /// Delivers one block.
    pub async fn deliver(
        &mut self,
        (mix, level): (Mix, usize),
        turn: Turn,
        databases: &Databases,
    ) -> io::Result<()> {
        let pid = self.process.0.id();
        let cell = self.cells.entry((mix, level)).or_default();
        let count = cell.newest_rate.map_or(FIRST, |rate| (rate * turn.time.as_secs_f64() * 1.3) as usize);
        let deliveries = make(mix, count.max(FIRST), self.known);
        let block = Block::new(self.address, level, deliveries).await?;
        usage::forget_peak(pid);
        let cpu = || (usage::cpu(pid), databases.cpu(self.service.store));
        let before = cpu();
        let delivered = block.run(turn.time).await?;
        let after = cpu();
        self.known += delivered.accepted;
        let seconds = delivered.elapsed.as_secs_f64();
        let rate = delivered.count as f64 / seconds;
        cell.newest_rate = Some(rate);
        if turn.is_measured {
            let micros =
                |percent: usize| delivered.times[delivered.count * percent / 100].as_secs_f64() * 1e6;
            cell.rates.push(rate);
            cell.accepted.push(delivered.accepted as f64 / seconds);
            cell.p50.push(micros(50));
            cell.p99.push(micros(99));
            cell.count += delivered.count;
            cell.cpu += after.0 - before.0;
            if let (Some(after), Some(before)) = (after.1, before.1) {
                *cell.database_cpu.get_or_insert_default() += after.saturating_sub(before);
            }
            cell.peak = cell.peak.max(usage::peak(pid));
        }
        Ok(())
    }

    /// Fails unless each accepted event had its effect once. What only reads the body has no effects.
    pub async fn check_effects(&self) -> io::Result<()> {
        if self.service.name == ONLY_READS {
            return Ok(());
        }
        let effects = match self.database.effects().await {
            Some(effects) => effects,
            None => {
                let count = Connection::open(self.address).await?.get("/effects").await?;
                let parsed = count.split_once(' ').map(|(all, jobs)| (all.parse(), jobs.parse()));
                let Some((Ok(all), Ok(jobs))) = parsed else { return Err(io::Error::other(count)) };
                (all, jobs)
            }
        };
        if effects != (self.known, self.known) {
            let (all, jobs) = effects;
            let wrong = format!("{} events were accepted, with {all} effects of {jobs} events", self.known);
            return Err(io::Error::other(wrong));
        }
        Ok(())
    }

    /// How far each block's rate was from its cell's median, as a ratio.
    pub fn spreads(&self) -> impl Iterator<Item = f64> {
        self.cells.values().flat_map(|cell| {
            let median = median(&cell.rates);
            cell.rates.iter().map(move |rate| (rate / median).max(median / rate))
        })
    }

    pub fn put(&self) {
        for ((mix, level), cell) in &self.cells {
            let each = |time: Duration| time.as_secs_f64() * 1e6 / cell.count as f64;
            let mut values = vec![
                (RATE, median(&cell.rates)),
                (ACCEPTED, median(&cell.accepted)),
                (P50, median(&cell.p50)),
                (P99, median(&cell.p99)),
                (CPU, each(cell.cpu)),
                (MEMORY_PEAK, cell.peak),
            ];
            values.extend(cell.database_cpu.map(|time| (DATABASE_CPU, each(time))));
            for (what, value) in values {
                put(record_name(self.service.name, *mix, *level, what), value);
            }
        }
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The program of a service; none if its packages are not installed.
fn command(program: Program, packages: &Packages) -> Option<Command> {
    let script = |name: &str| format!("{}/services/{name}", env!("CARGO_MANIFEST_DIR"));
    Some(match program {
        Program::Rust(form) => {
            let mut command = Command::new(std::env::current_exe().unwrap().with_file_name("service"));
            command.arg(form);
            command
        }
        Program::Node => {
            let mut command = Command::new("node");
            command.env("NODE_PATH", packages.node.as_ref()?).env("NODE_ENV", "production");
            command.arg(script("server.cjs"));
            command
        }
        Program::Python => {
            let mut command = Command::new("python3");
            command.env("PYTHONPATH", packages.python.as_ref()?).arg(script("server.py"));
            command
        }
    })
}

/// A process, which ends when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
