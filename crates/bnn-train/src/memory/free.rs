//! How much memory a process may still take, as Linux tells it.

use std::fs::read_to_string;
use std::path::Path;

/// Bytes that this process may still take: the least of what is free on the machine, what the limits of
/// its control groups leave it (those of a container, a service, a job), and what `ulimit -v` leaves it.
///
/// None where the system tells nothing.
pub(super) fn bytes() -> Option<u64> {
    let told = |path| read_to_string(path).unwrap_or_default();
    let machine = kibibytes(&told("/proc/meminfo"), "MemAvailable:"); // without swapping
    let member = told("/proc/self/cgroup");
    let groups = GROUPS.iter().filter_map(|groups| groups.free(Path::new(groups.mount), &member));
    let addresses = addresses(&told("/proc/self/limits"), &told("/proc/self/status"));
    groups.chain(machine).chain(addresses).min()
}

/// Bytes of addresses that a process may still take, from its limits and its status.
fn addresses(limits: &str, status: &str) -> Option<u64> {
    let limit = number(limits, "Max address space")?;
    Some(limit.saturating_sub(kibibytes(status, "VmSize:")?))
}

/// Where a version of control groups tells of memory; version 1 can be mounted beside version 2.
struct Groups {
    mount: &'static str,
    /// How the line of `/proc/self/cgroup` goes on behind its number.
    line: &'static str,
    limit: &'static str,
    taken: &'static str,
    /// Of what is taken, the pages of files, which make way: fields of `memory.stat`.
    files: [&'static str; 2],
}

const GROUPS: [Groups; 2] = [
    Groups {
        mount: "/sys/fs/cgroup",
        line: "::",
        limit: "memory.max",
        taken: "memory.current",
        files: ["inactive_file", "active_file"],
    },
    Groups {
        mount: "/sys/fs/cgroup/memory",
        line: ":memory:",
        limit: "memory.limit_in_bytes",
        taken: "memory.usage_in_bytes",
        files: ["total_inactive_file", "total_active_file"],
    },
];

impl Groups {
    /// Bytes that the limits leave to a process of the groups that `member`, the text of
    /// `/proc/self/cgroup`, names: the group, and all that it is in.
    fn free(&self, mount: &Path, member: &str) -> Option<u64> {
        let own = member.lines().find_map(|line| {
            line.trim_start_matches(|digit: char| digit.is_ascii_digit()).strip_prefix(self.line)
        })?;
        let own = mount.join(own.trim_start_matches('/'));
        own.ancestors()
            .take_while(|group| group.starts_with(mount))
            .filter_map(|at| self.left(at))
            .min()
    }

    /// Bytes that a single group leaves; none where it has no limit.
    fn left(&self, group: &Path) -> Option<u64> {
        let told = |name| read_to_string(group.join(name)).ok();
        let bytes = |name| told(name)?.trim().parse::<u64>().ok();
        let (limit, taken) = (bytes(self.limit)?, bytes(self.taken)?);
        let stat = told("memory.stat").unwrap_or_default();
        let files: u64 = self.files.iter().filter_map(|name| number(&stat, name)).sum();
        Some(limit.saturating_sub(taken.saturating_sub(files)))
    }
}

/// The bytes of a field that is told in units of 1024.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    number(text, name)?.checked_mul(1024)
}

/// The first number behind the name that a line begins with.
fn number(text: &str, name: &str) -> Option<u64> {
    let is_space = |text: &&str| text.starts_with(char::is_whitespace);
    let rest = text.lines().find_map(|line| line.strip_prefix(name).filter(is_space))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_machine_and_the_process_are_read() {
        let told = "MemTotal:       16 kB\nMemAvailable:    2048 kB\nSwapFree: 9 kB\n";
        assert_eq!(kibibytes(told, "MemAvailable:"), Some(2 << 20));
        assert_eq!(kibibytes("MemTotal: 1 kB\n", "MemAvailable:"), None);
        let status = "VmPeak:\t 9 kB\nVmSize:\t    2 kB\n";
        let limits = |soft| format!("Max address space         {soft}   unlimited    bytes\n");
        assert_eq!(addresses(&limits("5000"), status), Some(5000 - 2048));
        assert_eq!(addresses(&limits("1000"), status), Some(0));
        assert_eq!(addresses(&limits("unlimited"), status), None);
        assert!(bytes().is_some() == cfg!(target_os = "linux"));
    }

    #[test]
    fn the_narrowest_control_group_counts() {
        for (groups, member, unlimited) in [
            (&GROUPS[0], "4:memory:/other\n0::/job/step\n", "max"),
            (&GROUPS[1], "4:memory:/job/step\n0::/\n", "9223372036854771712"),
        ] {
            let mount = tempfile::tempdir().unwrap();
            let step = mount.path().join("job/step");
            fs::create_dir_all(&step).unwrap();
            let free = || groups.free(mount.path(), member);
            assert_eq!(free(), None);
            let write = |folder: &Path, limit: &str, taken: &str| {
                fs::write(folder.join(groups.limit), format!("{limit}\n")).unwrap();
                fs::write(folder.join(groups.taken), format!("{taken}\n")).unwrap();
            };
            write(&step, unlimited, "600");
            assert!(free().is_none_or(|free| free > 1 << 60));
            write(step.parent().unwrap(), "1000", "700");
            assert_eq!(free(), Some(300));
            // The pages of files make way.
            let stat = format!("anon 1\n{} 30\n{} 4\n", groups.files[0], groups.files[1]);
            fs::write(mount.path().join("job/memory.stat"), stat).unwrap();
            assert_eq!(free(), Some(334));
            write(&step, "50", "60");
            assert_eq!(free(), Some(0));
        }
    }
}
