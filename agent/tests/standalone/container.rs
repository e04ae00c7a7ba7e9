//! Control groups that are named as a container runtime names them, and processes in them.
use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// A control group whose path says Docker, in each hierarchy that can say it. Gone with the value.
pub struct Container {
    /// As `container.id` has it.
    pub id: String,
    folders: Vec<PathBuf>,
}

impl Container {
    pub fn new(number: usize) -> Option<Self> {
        let whole = format!("{:012x}{:052x}", u64::from(std::process::id()) << 24 | number as u64, number);
        let mut folders = Vec::new();
        for root in hierarchies() {
            let folder = root.join("docker").join(&whole);
            fs::create_dir_all(&folder).ok()?;
            folders.push(folder);
        }
        (!folders.is_empty()).then(|| Self { id: whole[..12].to_owned(), folders })
    }

    /// A shell that runs a command line in it.
    pub fn command(&self, line: &str) -> Command {
        let enter = "for group; do echo $$ > \"$group/cgroup.procs\" || exit 99; done; exec sh -c \"$LINE\"";
        let mut command = Command::new("sh");
        command.args(["-c", enter, "sh"]).args(&self.folders).env("LINE", line).current_dir("/");
        command
    }

    /// Runs a command line of sh in it. Its outcome does not matter, what it did is looked for.
    pub fn run(&self, line: &str) {
        let mut command = self.command(line);
        let done = command.stdin(std::process::Stdio::null()).output().unwrap();
        assert_ne!(done.status.code(), Some(99), "{}", String::from_utf8_lossy(&done.stderr));
        if !done.stderr.is_empty() {
            println!("{line}: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Its last process may still be on its way out.
            let end = Instant::now() + Duration::from_secs(2);
            while fs::remove_dir(folder).is_err() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Where the unified hierarchy and that of the memory controller are mounted: records tell one of them.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let wanted = mounts.lines().filter_map(|line| {
        let [_, at, kind, options, ..] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        (kind == "cgroup2" || kind == "cgroup" && options.split(',').any(|o| o == "memory")).then(|| PathBuf::from(at))
    });
    wanted.collect()
}
