//! Whole services over HTTP: which there are, what is delivered to them, and under which names it is recorded.

pub mod figures;
pub mod plots;
pub mod tables;

pub const SECRET: &str = "whsec_0123456789abcdef";

/// A service, which is a process of its own.
pub struct Service {
    pub name: &'static str,
    pub store: Store,
    pub program: Program,
    /// The same by hand in Rust.
    pub baseline: Option<&'static str>,
    /// Whether the effect is kept in the service's memory instead of its store.
    pub has_effects_in_memory: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Memory,
    Redis,
    Sqlite,
    Postgres,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The form in which `service` starts it.
    Rust(&'static str),
    Node,
    Python,
}

pub const ONLY_READS: &str = "memory: only reads the body";
pub const MEMORY_BY_HAND: &str = "memory: by hand";
pub const MEMORY: &str = "memory: countersign";
pub const REDIS_BY_HAND: &str = "Redis: by hand";
pub const REDIS: &str = "Redis: countersign";
pub const SQLITE_BY_HAND: &str = "SQLite: by hand";
pub const SQLITE: &str = "SQLite: one commit";
pub const SQLITE_NOT_SHARED: &str = "SQLite: one commit, not shared";
pub const SQLITE_APART: &str = "SQLite: apart";
pub const SQLITE_APART_NOT_SHARED: &str = "SQLite: apart, not shared";
pub const POSTGRES_BY_HAND: &str = "PostgreSQL: by hand";
pub const POSTGRES: &str = "PostgreSQL: one commit";
pub const POSTGRES_APART_BY_HAND: &str = "PostgreSQL: apart, by hand";
pub const POSTGRES_APART: &str = "PostgreSQL: apart";
pub const POSTGRES_APART_NOT_SHARED: &str = "PostgreSQL: apart, not shared";
pub const POSTGRES_ELSEWHERE_BY_HAND: &str = "PostgreSQL: apart, effect elsewhere, by hand";
pub const POSTGRES_ELSEWHERE: &str = "PostgreSQL: apart, effect elsewhere";
pub const NODE: &str = "PostgreSQL: Node";
pub const PYTHON: &str = "PostgreSQL: Python";

/// All services, in the order in which they are shown.
pub static SERVICES: [Service; 19] = {
    use Program::{Node, Python, Rust};
    use Store::{Memory, Postgres, Redis, Sqlite};
    const fn of(
        name: &'static str,
        store: Store,
        program: Program,
        baseline: Option<&'static str>,
    ) -> Service {
        Service { name, store, program, baseline, has_effects_in_memory: matches!(store, Memory) }
    }
    const fn elsewhere(service: Service) -> Service {
        Service { has_effects_in_memory: true, ..service }
    }
    [
        of(ONLY_READS, Memory, Rust("only-reads"), Some(MEMORY_BY_HAND)),
        of(MEMORY_BY_HAND, Memory, Rust("by-hand"), None),
        of(MEMORY, Memory, Rust("countersign"), Some(MEMORY_BY_HAND)),
        of(REDIS_BY_HAND, Redis, Rust("by-hand"), None),
        of(REDIS, Redis, Rust("countersign"), Some(REDIS_BY_HAND)),
        of(SQLITE_BY_HAND, Sqlite, Rust("by-hand"), None),
        of(SQLITE, Sqlite, Rust("one-commit"), Some(SQLITE_BY_HAND)),
        of(SQLITE_NOT_SHARED, Sqlite, Rust("one-commit-not-shared"), Some(SQLITE_BY_HAND)),
        of(SQLITE_APART, Sqlite, Rust("apart"), Some(SQLITE_BY_HAND)),
        of(SQLITE_APART_NOT_SHARED, Sqlite, Rust("apart-not-shared"), Some(SQLITE_BY_HAND)),
        of(POSTGRES_BY_HAND, Postgres, Rust("by-hand"), None),
        of(POSTGRES, Postgres, Rust("one-commit"), Some(POSTGRES_BY_HAND)),
        of(POSTGRES_APART_BY_HAND, Postgres, Rust("by-hand-apart"), None),
        of(POSTGRES_APART, Postgres, Rust("apart"), Some(POSTGRES_APART_BY_HAND)),
        of(POSTGRES_APART_NOT_SHARED, Postgres, Rust("apart-not-shared"), Some(POSTGRES_APART_BY_HAND)),
        elsewhere(of(POSTGRES_ELSEWHERE_BY_HAND, Postgres, Rust("by-hand-apart-elsewhere"), None)),
        elsewhere(of(
            POSTGRES_ELSEWHERE,
            Postgres,
            Rust("apart-elsewhere"),
            Some(POSTGRES_ELSEWHERE_BY_HAND),
        )),
        of(NODE, Postgres, Node, Some(POSTGRES_BY_HAND)),
        of(PYTHON, Postgres, Python, Some(POSTGRES_BY_HAND)),
    ]
};

/// What is delivered: the rest of the hundred are new events.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mix {
    pub name: &'static str,
    /// How many of a hundred repeat an earlier event.
    pub repeated: usize,
    /// How many of a hundred have a signature that does not match.
    pub forged: usize,
}

pub const NEW: Mix = Mix { name: "new", repeated: 0, forged: 0 };
pub const TENTH_REPEATED: Mix = Mix { name: "10 % repeated", repeated: 10, forged: 0 };
pub const HALF_REPEATED: Mix = Mix { name: "50 % repeated", repeated: 50, forged: 0 };
pub const MOSTLY_FORGED: Mix = Mix { name: "90 % forged", repeated: 0, forged: 90 };

/// How many deliveries are in flight at once.
pub const LEVELS: [usize; 4] = [1, 8, 32, 128];
/// With how many in flight mixes are compared.
pub const MIXES_LEVEL: usize = 32;

/// What is measured of a service: a mix, and how many are in flight.
pub fn cells(service: &Service) -> Vec<(Mix, usize)> {
    let mut cells = LEVELS.map(|level| (NEW, level)).to_vec();
    if service.name != ONLY_READS {
        cells.extend([TENTH_REPEATED, HALF_REPEATED, MOSTLY_FORGED].map(|mix| (mix, MIXES_LEVEL)));
    }
    cells
}

// What is measured in each of them.
/// Deliveries that are answered as they have to be.
pub const RATE: &str = "a second";
/// New events, of these.
pub const ACCEPTED: &str = "accepted a second";
/// Of the answer, in microseconds.
pub const P50: &str = "p50";
pub const P99: &str = "p99";
/// Time of the service's process a delivery, in microseconds.
pub const CPU: &str = "cpu";
/// The same of PostgreSQL's processes or Redis's.
pub const DATABASE_CPU: &str = "database cpu";
/// The most memory of the service's process, in MiB.
pub const MEMORY_PEAK: &str = "MiB";

/// How far blocks were from their medians: 1 is a quiet machine.
pub const SPREAD: &str = "spread/services";

/// The name under which a value is recorded.
pub fn record_name(service: &str, mix: Mix, level: usize, what: &str) -> String {
    format!("service/{service}/{}/{level}/{what}", mix.name)
}
