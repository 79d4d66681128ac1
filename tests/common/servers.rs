//! Real servers, which the tests start themselves in a temporary directory on a free port.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server, which ends with the test.
pub struct Server {
    directory: TempDir,
    port: u16,
    kind: Kind,
    /// Options in addition to those of every server of this kind.
    options: Vec<String>,
    child: Option<Child>,
}

#[derive(Clone, Copy)]
enum Kind {
    Postgres,
    Redis,
    /// A node of a cluster, with the port on which the nodes talk to each other.
    RedisNode(u16),
    PgBouncer,
}

/// PostgreSQL refuses to run as root: then it runs as this user, whom Debian's package makes.
const POSTGRES_USER: &str = "postgres";

impl Server {
    /// A PostgreSQL server; none where it is not installed, but under CI that is a failure.
    pub fn postgres() -> Option<Self> {
        Self::postgres_with(&[])
    }

    /// The same with settings of its own, such as `-c ssl=on`.
    pub fn postgres_with(options: &[String]) -> Option<Self> {
        let Some(initdb) = postgres_program("initdb") else { return missing("PostgreSQL") };
        let server = Self::new(Kind::Postgres).with(options);
        give_to_postgres(server.directory.path());
        make_cluster(&initdb, &server.directory.path().join("data"));
        Some(server.started())
    }

    /// A standby of this PostgreSQL server, which receives what that writes until it is promoted.
    pub fn standby(&self) -> Self {
        let server = Self::new(Kind::Postgres);
        let path = server.directory.path();
        give_to_postgres(path);
        let port = self.port.to_string();
        run(as_postgres(&postgres_program("pg_basebackup").unwrap())
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-c", "fast", "--no-sync", "-R", "-D"])
            .arg(path.join("data")));
        server.started()
    }

    /// A Redis server; none where it is not installed, but under CI that is a failure.
    pub fn redis() -> Option<Self> {
        Self::redis_with(&[])
    }

    /// The same with settings of its own, such as `--requirepass`.
    pub fn redis_with(options: &[String]) -> Option<Self> {
        has_redis()?;
        Some(Self::new(Kind::Redis).with(options).started())
    }

    /// The masters of a Redis Cluster, which have a third of the keys each.
    pub fn redis_cluster() -> Option<[Self; 3]> {
        has_redis()?;
        let nodes = [(); 3].map(|()| Self::new(Kind::RedisNode(free_port())).started());
        for (node, slots) in nodes.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]]) {
            node.redis_cli(&["cluster", "addslotsrange", slots[0], slots[1]]);
            let Kind::RedisNode(bus) = node.kind else { unreachable!() };
            nodes[0].redis_cli(&["cluster", "meet", "127.0.0.1", &node.port.to_string(), &bus.to_string()]);
        }
        let start = Instant::now();
        for node in &nodes {
            while !node.knows_the_cluster() {
                assert!(start.elapsed() < Duration::from_secs(60), "the cluster does not form");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Some(nodes)
    }

    /// PgBouncer in front of a PostgreSQL server, in this mode (`session` or `transaction`), with so many
    /// connections to it; none where it is not installed, but under CI that is a failure.
    pub fn pgbouncer(postgres: &Self, mode: &str, connections: usize) -> Option<Self> {
        let Some(_) = pgbouncer_program() else { return missing("PgBouncer") };
        let server = Self::new(Kind::PgBouncer);
        let path = server.directory.path();
        let config = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = {connections}\n\
             ignore_startup_parameters = extra_float_digits\n",
            postgres.port, server.port
        );
        std::fs::write(path.join("pgbouncer.ini"), config).unwrap();
        give_to_postgres(path);
        Some(server.started())
    }

    fn knows_the_cluster(&self) -> bool {
        let info = self.redis_cli(&["cluster", "info"]);
        ["cluster_state:ok", "cluster_slots_assigned:16384"].iter().all(|line| info.contains(line))
    }

    /// What a node of a cluster answers to a command.
    pub fn redis_cli(&self, command: &[&str]) -> String {
        run(Command::new("redis-cli").args(["-e", "-p", &self.port.to_string()]).args(command))
    }

    fn new(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, port: free_port(), kind, options: Vec::new(), child: None }
    }

    fn with(mut self, options: &[String]) -> Self {
        self.options = options.to_vec();
        self
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, for its client.
    pub fn url(&self) -> String {
        match self.kind {
            Kind::Postgres | Kind::PgBouncer => {
                format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
            }
            Kind::Redis | Kind::RedisNode(_) => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    fn started(mut self) -> Self {
        self.start();
        self
    }

    /// Starts it, again if it was stopped: PostgreSQL with its data, Redis empty.
    pub fn start(&mut self) {
        let path = self.directory.path();
        let port = self.port.to_string();
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = as_postgres(&postgres_program("postgres").unwrap());
                command.arg("-D").arg(path.join("data")).arg("-k").arg(path).args([
                    "-p",
                    &port,
                    "-h",
                    "127.0.0.1",
                ]);
                command
            }
            Kind::Redis | Kind::RedisNode(_) => {
                let mut command = Command::new(redis_program());
                command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port]);
                if let Kind::RedisNode(bus) = self.kind {
                    command.args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]);
                }
                command.current_dir(path);
                command
            }
            Kind::PgBouncer => {
                let mut command = as_postgres(&pgbouncer_program().unwrap());
                command.arg(path.join("pgbouncer.ini"));
                command
            }
        };
        command.args(&self.options);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        while !self.answers() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server ended by itself: {command:?}: {ended:?}");
            assert!(start.elapsed() < Duration::from_secs(60), "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        match self.kind {
            Kind::Postgres => {
                let mut ready = Command::new(postgres_program("pg_isready").unwrap());
                let ready =
                    ready.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).stdout(Stdio::null());
                ready.status().unwrap().success()
            }
            Kind::PgBouncer => TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            // It listens a while before it serves, and ends in between where the nodes' port is taken.
            Kind::Redis | Kind::RedisNode(_) => self.pongs().is_ok_and(|answer| answer == *b"+PONG\r\n"),
        }
    }

    fn pongs(&self) -> io::Result<[u8; 7]> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// Stops it at once, as a crash would.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Kind::Postgres = self.kind {
            // An immediate shutdown: no checkpoint, so that the next start recovers as after a crash.
            let data = self.directory.path().join("data");
            let _ = as_postgres(&postgres_program("pg_ctl").unwrap())
                .args(["stop", "-s", "-m", "immediate", "-D"])
                .arg(data)
                .status();
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes a cluster of databases: a copy of the first one, because `initdb` takes much longer than that.
fn make_cluster(initdb: &Path, data: &Path) {
    // Only tests and benchmarks have this folder.
    let folder = option_env!("CARGO_TARGET_TMPDIR").map(Path::new);
    let name = initdb.to_string_lossy().replace('/', "-");
    let copy = |from: &Path, to: &Path| run(Command::new("cp").arg("-a").args([from, to]));
    let first = folder.map(|folder| folder.join(&name));
    if let Some(first) = first.as_deref().filter(|first| first.exists()) {
        copy(first, data);
        return;
    }
    run(as_postgres(initdb)
        .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D"])
        .arg(data));
    if let Some(first) = first {
        // Of several that make one at once, the first stays.
        let own = tempfile::tempdir_in(first.parent().unwrap()).unwrap();
        copy(data, &own.path().join("data"));
        let _ = std::fs::rename(own.path().join("data"), first);
    }
}

/// Nothing, where what a test needs is not installed; but under CI that is a failure.
pub fn missing<T>(what: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "{what} is not installed");
    eprintln!("{what} is not installed: not tested");
    None
}

fn has_redis() -> Option<()> {
    match Command::new(redis_program()).arg("--version").stdout(Stdio::null()).status() {
        Ok(_) => Some(()),
        Err(_) => missing("Redis"),
    }
}

/// Redis, or another server that speaks as it does, such as Valkey's.
fn redis_program() -> OsString {
    std::env::var_os("COUNTERSIGN_REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// A program of PostgreSQL's, which Debian keeps off the path.
fn postgres_program(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH")?));
    folders.into_iter().map(|folder| folder.join(name)).find(|program| program.exists())
}

/// PgBouncer, which Debian keeps off the path of users.
fn pgbouncer_program() -> Option<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/sbin")];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH")?));
    folders.into_iter().map(|folder| folder.join("pgbouncer")).find(|program| program.exists())
}

fn as_postgres(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", POSTGRES_USER, "--regid", POSTGRES_USER, "--clear-groups", "--"])
            .arg(program);
        command.current_dir("/");
        command
    } else {
        Command::new(program)
    }
}

/// Gives a folder with all that is in it to the user who runs PostgreSQL.
pub fn give_to_postgres(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg(POSTGRES_USER).arg(path));
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// A port that nothing takes before the server does, nor while a test has it stopped. Linux gives clients, and
/// who asks for port 0, ports from 32768 on; of those below, each process counts up from a place of its own.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let mut ports = std::iter::repeat_with(|| {
        let place = std::process::id() * 64 + TAKEN.fetch_add(1, Ordering::Relaxed);
        10_000 + u16::try_from(place % 20_000).unwrap()
    });
    ports.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).unwrap()
}

pub fn run(command: &mut Command) -> String {
    let output: io::Result<_> = command.output();
    let output = output.unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
