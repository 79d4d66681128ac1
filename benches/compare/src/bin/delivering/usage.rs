//! What processes use, as Linux tells it.

use std::fs;
use std::time::Duration;

/// Linux counts the time of a process in these, for every program.
const TICK: Duration = Duration::from_millis(10);

/// A process's fields in `/proc`, from the third on: its name, the second, may hold spaces.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or_default()).collect())
}

const PARENT: usize = 1;
/// In user mode and in the kernel; the same of the children that have ended.
const TIMES: [usize; 2] = [11, 12];
const TIMES_OF_ENDED: [usize; 2] = [13, 14];

/// The time that a process has taken.
pub fn cpu(pid: u32) -> Duration {
    let stat = stat(pid).expect("the process runs");
    TICK * u32::try_from(TIMES.map(|field| stat[field]).iter().sum::<u64>()).unwrap()
}

/// The time that a process and its children have taken, with those that have ended.
pub fn cpu_with_children(pid: u32) -> Duration {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let of_ended = stat(pid).expect("the process runs");
    let mut ticks: u64 = TIMES_OF_ENDED.map(|field| of_ended[field]).iter().sum();
    for other in pids {
        // One that has just ended is counted with the ended ones the next time.
        let Some(stat) = stat(other) else { continue };
        if other == pid || stat[PARENT] == u64::from(pid) {
            ticks += TIMES.map(|field| stat[field]).iter().sum::<u64>();
        }
    }
    TICK * u32::try_from(ticks).unwrap()
}

/// Lets the most memory be that of now.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("one may reset the peak of one's own process");
}

/// The most memory that a process had, in MiB.
pub fn peak(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    peak.unwrap().trim().parse::<f64>().unwrap() / 1024.0
}
