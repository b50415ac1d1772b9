//! What keeps the process alive and quick: each as far as it is allowed.

use std::fs;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{setpriority_process, setsid};

/// More favoured than the daemon, and than all containers.
const NICENESS: i32 = -15;

/// Nearly the last that the kernel ends where memory runs out.
const OUT_OF_MEMORY_SCORE: &str = "-900";

const NAME: &str = "kontena-fence";

pub(super) fn harden() {
    // A signal to the daemon's terminal or group is none to it. One that leads a group has one of its own already.
    let _ = setsid();
    drop(fs::write("/proc/self/comm", NAME));
    drop(fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE));
    let _ = setpriority_process(None, NICENESS);
    // What was used once is there without the disk.
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    let _ = mlockall(all);
}
